"""Layers with trained parameters: biases of any size, weights in RAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from tests.kernels import test_assembly, test_depthwise_strips, test_depthwise_toeplitz
from tests.kernels.test_assembly import dense
from tests.kernels.test_dsp import layer
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Array, Node, Signature, Site, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.cover import fused
from tinycompile.kernels.depthwise_rows import depthwise_rows
from tinycompile.kernels.depthwise_strips import depthwise_strips
from tinycompile.kernels.few_channels import SHARE
from tinycompile.kernels.master_layer_products import master_layer_products
from tinycompile.kernels.trained_bias import OFFERED
from tinycompile.kernels.trained_depthwise import trained_depthwise
from tinycompile.kernels.trained_lanes import trained_lanes, trained_lanes_straight
from tinycompile.kernels.trained_weights import trained_masters, trained_products
from tinycompile.numerics.block_floating import BIAS_LIMIT
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._training.parameters import RoundedWeights
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected


@cache
def cases() -> list[tuple[Factory, Site]]:
    """One of every kernel for constant weights with a bias in RAM, of the cases of those that they are made of."""
    found = list[tuple[Factory, Site]]()
    known = (*test_assembly.CASES, *test_depthwise_strips.CASES, *test_depthwise_toeplitz.CASES)
    sites = [trained(site) for _, site in known if isinstance(site.node.op, Convolution) and len(site.constants) == 3]
    for number, factory in enumerate(OFFERED.values()):
        taken = [site for site in sites if factory(site, M7) is not None]
        assert taken, factory
        found.append((factory, taken[number % len(taken)]))
    return found


def trained(site: Site, bits: int | None = None) -> Site:
    """`bits`: of the limit of its biases."""
    op = site.node.op
    assert isinstance(op, Convolution)
    trained = TrainedLayer(op, 1 << (bits or (19 if site.sig.output.shape[-1] % 2 else 30)))
    return replace(site, node=replace(site.node, op=trained), constants=(None, site.constants[1], None))


def trained_weights() -> list[tuple[Factory, Site]]:
    """Blocks of three positions with and without a rest, an odd number of channels, windows at the edges."""
    sites = (
        layer(Conv2D((1, 1), (1, 1), (0, 0, 0, 0), (-60, 70)), (1, 2, 3, 12), (5, 1, 1, 12), 0, 0),
        layer(Conv2D((2, 1), (1, 2), (1, 0, 1, 2)), (1, 5, 4, 4), (6, 3, 2, 4), 0, 1),
        layer(Conv2D((2, 2), (1, 1), (0, 0, 0, 0), (0, 127)), (1, 3, 3, 36), (2, 1, 1, 36), 0, 2),
        dense(20, 7, 1, (-128, 127), 3),
        dense(8, 4, 5, (-128, 127), 4),
    )
    return [(trained_products, of_weights(site, 99)) for site in sites]


def of_weights(site: Site, bias_limit: int) -> Site:
    op = site.node.op
    assert isinstance(op, Convolution | FullyConnected)
    return replace(site, node=replace(site.node, op=TrainedLayer(op, bias_limit)), constants=(None, None, None))


def packed_weights() -> list[tuple[Factory, Site]]:
    """An odd number of channels, one channel, windows at the edges whose last word isn't full, blocks that are."""
    sites = (
        layer(Conv2D((1, 1), (1, 1), (0, 0, 0, 0), (-60, 70)), (1, 2, 3, 12), (5, 1, 1, 12), 0, 0),
        layer(Conv2D((2, 1), (1, 2), (1, 0, 1, 2)), (1, 5, 4, 3), (6, 3, 1, 3), 0, 1),
        layer(Conv2D((1, 1), (1, 1), (0, 0, 0, 0)), (1, 2, 4, 8), (1, 1, 1, 8), 0, 2),
    )
    depthwise = (
        layer(DepthwiseConv2D((1, 1), (1, 1), (1, 1, 1, 1), (-60, 70)), (1, 5, 4, 6), (1, 3, 3, 6), 3, 3),
        layer(DepthwiseConv2D((2, 1), (1, 2), (0, 0, 0, 0)), (1, 5, 7, 4), (1, 2, 3, 4), 3, 4),
    )
    apart = [(trained_depthwise, of_weights(site, limit)) for site, limit in zip(depthwise, (1 << 19, 99), strict=True)]
    found = [*apart, *lanes(sites)]
    return [*found, (trained_lanes_straight, of_weights(sites[0], 99))]


def lanes(sites: Sequence[Site]) -> list[tuple[Factory, Site]]:
    return [(trained_lanes, of_weights(site, limit)) for site, limit in zip(sites, (99, 1 << 19, 0), strict=True)]


@cache
def far_apart() -> list[tuple[Factory, Site]]:
    """Depthwise layers of which one channel's scale is so small that the others' requantisation isn't its own."""
    known = [site for _, site in test_depthwise_strips.CASES if site.sig.output.shape[-1] >= SHARE]
    found = list[tuple[Factory, Site]]()
    for site in known:
        w, op = site.sig.inputs[1], site.node.op
        if w.quant is None or w.quant.is_per_tensor or not isinstance(op, DepthwiseConv2D) or op.rule is not None:
            continue
        scale = w.quant.scale.copy()
        scale[-2] /= 1 << 13
        types = (site.sig.input, replace(w, quant=replace(w.quant, scale=scale)), *site.sig.inputs[2:])
        own = trained(replace(site, sig=replace(site.sig, inputs=types)), 19)
        for factory in (OFFERED[depthwise_strips], OFFERED[depthwise_rows]):
            kernel = factory(own, M7)
            if kernel is not None and kernel.variant.endswith("beside_few"):
                found.append((factory, own))
    return found


def test_channels_with_far_smaller_scales_are_computed_apart() -> None:
    assert far_apart()
    check_emulated(far_apart(), isa=M7, strict=True, operands_of=operands)
    check_portable(far_apart()[:1])


def of_masters(site: Site, trained: int, *, biased: bool) -> Site:
    """A layer with the rounding of its weights, of whose input channels so many are trained."""
    types = dict(zip(("x", "w", "b"), site.sig.inputs, strict=True)) | {"y": site.sig.output}
    *outer, channels = types["w"].shape
    known = np.random.default_rng(0).integers(-127, 128, (*outer, channels - trained)).astype(np.int8)
    types |= {"master": TensorType((*outer, trained), INT16), "others": TensorType(known.shape, INT8)}
    op = site.node.op
    assert isinstance(op, Convolution | FullyConnected)
    nodes = [
        Node("w", RoundedWeights(), ("master", "others") if known.size else ("master",), ("w",)),
        Node("y", TrainedLayer(op), ("x", "w", "b")[: 2 + biased], ("y",)),
    ]
    node = fused(nodes, types)
    sig = Signature(tuple(types[name] for name in node.inputs), (types["y"],))
    return Site(node, sig, tuple(known if name == "others" else None for name in node.inputs))


def trained_masters_sites() -> list[tuple[Factory, Site]]:
    """Rows in fours and a rest, with and without a bias; blocks of channels, the last begins in the one before."""
    row = layer(Conv2D((1, 1), (1, 1), (0, 0, 0, 0), (-60, 70)), (1, 2, 2, 12), (19, 1, 1, 12), 0, 0)
    window = layer(Conv2D((2, 1), (1, 2), (1, 0, 1, 2)), (1, 5, 4, 4), (6, 3, 2, 4), 0, 1)
    return [
        (trained_masters, of_masters(dense(6, 7, 1, (-60, 70), 0), 6, biased=True)),
        (trained_masters, of_masters(dense(14, 3, 1, (-60, 70), 1), 14, biased=False)),
        (master_layer_products, of_masters(row, 5, biased=True)),
        (master_layer_products, of_masters(window, 4, biased=False)),
    ]


def operands(site: Site) -> list[Array]:
    """With a bias that leaves outputs where they are, moves them a little or makes them the same for all inputs."""
    rng = np.random.default_rng(0)
    if site.sig.inputs[0].dtype == INT16:
        drawn = [rng.integers(-32640, 32640, t.shape) >> (8 if t.dtype == INT8 else 0) for t in site.sig.inputs]
        values = [own.astype(t.dtype.carrier) for own, t in zip(drawn, site.sig.inputs, strict=True)]
        return [own if known is None else known for own, known in zip(values, site.constants, strict=True)]
    image, channels = site.sig.input, site.sig.output.shape[-1]
    size = rng.choice([0, 3000, 40000, 1 << 20, BIAS_LIMIT], channels)
    bias = np.clip(rng.normal(0, 1, channels) * size, -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32)
    known, shape = site.constants[1], site.sig.inputs[1].shape
    weights = rng.integers(-127, 128, shape).astype(np.int8) if known is None else known
    return [rng.integers(-128, 128, image.shape).astype(np.int8), weights, bias]


def test_in_assembly() -> None:
    """Also with tensors at any address, where only aligned words may be read."""
    sites = [*cases(), *trained_weights(), *packed_weights(), *trained_masters_sites()]
    check_emulated(sites, isa=M7, strict=True, operands_of=operands)


def test_portable() -> None:
    check_portable([*cases()[::4], *trained_weights()[:2], *packed_weights(), *trained_masters_sites()[::2]])


def check_portable(cases: Sequence[tuple[Factory, Site]]) -> None:
    for factory, site in cases:
        kernel, given = factory(site, M7), operands(site)
        assert kernel is not None
        inputs = [value if constant is None else None for value, constant in zip(given, site.constants, strict=True)]
        found = run_kernel(kernel, inputs, site.sig.output)
        np.testing.assert_array_equal(found, site.node.op.evaluate(site.sig, given)[0])
