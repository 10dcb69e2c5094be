"""Floats by fused multiply-add: assembly on emulated cores gives the bits of the C on this machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Node, Op, Signature, Site, TensorType
from tinycompile.kernels import float_fused
from tinycompile.kernels.base import Factory, Kernel
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected


def site(op: Op, x: Sequence[int], weights: Sequence[int], outputs: int) -> Site:
    rng = np.random.default_rng(outputs)
    constants = [rng.normal(size=shape).astype(np.float32) for shape in (weights, (outputs,))]
    types = tuple(TensorType(tuple(shape), FLOAT32) for shape in (x, weights, (outputs,)))
    ((shape, dtype),) = op.infer(types)
    names = ("x", "w", "b")
    return Site(Node("layer", op, names, ("y",)), Signature(types, (TensorType(shape, dtype),)), (None, *constants))


def cases() -> list[tuple[Factory, Site]]:
    """Blocks of eight and four outputs, odd and even runs, windows inside, at the edge and with gaps."""
    padded, gaps = Conv2D(padding=(1, 1, 1, 1), bounds=(0, 6)), Conv2D((2, 1), (1, 2), (1, 0, 2, 1))
    found: list[tuple[Factory, Site]] = [
        (float_fused.conv2d, site(op, (1, 6, 5, depth), (outputs, 3, 2, depth), outputs))
        for op in (padded, gaps)
        for depth, outputs in ((1, 3), (2, 8), (3, 13))
    ]
    pixels = ((3, 8, Conv2D()), (4, 13, Conv2D(bounds=(0, np.inf))))  # in pairs, and one alone
    found += [(float_fused.conv2d, site(op, (1, 2, 5, k), (c, 1, 1, k), c)) for k, c, op in pixels]
    found.append((float_fused.fully_connected, site(FullyConnected(), (2, 17), (9, 17), 9)))
    edges = DepthwiseConv2D(padding=(1, 1, 1, 1), bounds=(-1, np.inf))
    apart = DepthwiseConv2D((2, 1), (1, 2), (1, 0, 2, 1))
    found += [(float_fused.depthwise, site(op, (1, 6, 5, 12), (1, 3, 2, 12), 12)) for op in (edges, apart)]
    return found


def on_this_machine(kernel: Kernel, site: Site, values: Sequence[Array]) -> Array:
    return run_kernel(kernel, [values[0], None, None], site.sig.output, sanitize=True)


@pytest.mark.parametrize("target", ["mps2-an500", "mps2-an386"])
def test_the_same_bits_as_on_this_machine(target: str) -> None:
    check_emulated(cases(), target, expected_of=on_this_machine)
