"""Kernels of training steps: those that plans prefer others to, and odd shapes; tests/training has whole steps."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.training_cases import first_expected
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, sharings
from tests.support.several_results import first_result, with_last
from tests.training.networks import RandomNetwork
from tinycompile.dtypes import INT8, INT16, INT32
from tinycompile.interpreter import initial, run
from tinycompile.ir import Array, Node, Quantization, Signature, Site, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.cover import fused
from tinycompile.kernels.gradients_in_two_passes import (
    depthwise_gradient_in_two_passes,
    pointwise_gradient_in_two_passes,
)
from tinycompile.kernels.master_gradient_products import master_gradient_in_two_passes, master_gradient_products
from tinycompile.kernels.training_layers import gradient_descent, weight_gradient
from tinycompile.kernels.training_products import (
    depthwise_gradient,
    input_gradient_products,
    weight_update_products,
    weight_update_single,
)
from tinycompile.ops._spatial import Window
from tinycompile.ops._training.gradient import EXPONENT, LEARNING_RATE
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.ops._training.parameters import GradientDescent, RoundedWeights
from tinycompile.ops._training.weight_gradient import WeightGradient
from tinycompile.training.scheme import read_scheme
from tinycompile.training.step import training_step

NETWORK = RandomNetwork(2)
STEP = training_step(graph := NETWORK.chain(["depthwise"]), read_scheme("all", graph)).graph
VALUES = run(STEP, [NETWORK.sample], initial(STEP))


@pytest.mark.parametrize(("factory", "op"), [(weight_gradient, WeightGradient), (gradient_descent, GradientDescent)])
def test_gradients_and_descents_apart(factory: Factory, op: type) -> None:
    node = next(n for n in STEP.nodes if isinstance(n.op, op) and VALUES[n.inputs[0]].dtype == np.int16)
    site = STEP.site(node)
    kernel = factory(site, M7)
    assert kernel is not None
    given = [VALUES[name] for name in node.inputs if name not in STEP.constants]
    expected = [VALUES[name] for name in node.outputs]
    for last, right in enumerate(expected):
        others = [np.zeros_like(array) for i, array in enumerate(expected) if i != last]
        one = with_last(kernel, len(given), len(expected), last)
        for share in (None, *node.op.updates):
            found = run_kernel(one, [*given, *others], site.sig.outputs[last], share_operand=share)
            np.testing.assert_array_equal(found, right)


POINTWISE = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0))


def depthwise(window: Window, image: tuple[int, int, int]) -> LinearGeometry:
    return LinearGeometry(window, image, (1, *window.kernel, image[2]), depthwise=True)


GEOMETRIES = {
    "pairs": (LinearGeometry(POINTWISE, (2, 3, 8), (6, 1, 1, 8)), True),
    "odd": (LinearGeometry(POINTWISE, (3, 3, 6), (5, 1, 1, 6)), True),
    "one": (LinearGeometry(POINTWISE, (1, 1, 13), (9, 1, 1, 13)), True),
    "trained": (LinearGeometry(POINTWISE, (3, 5, 12), (18, 1, 1, 12)), False),
    "window": (LinearGeometry(Window((3, 2), (2, 1), (1, 2), (1, 0, 1, 2)), (7, 5, 3), (4, 3, 2, 3)), True),
    "depthwise": (depthwise(Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1)), (4, 6, 5)), True),
    "even": (depthwise(Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1)), (3, 5, 4)), True),
    "halved": (depthwise(Window((5, 4), (2, 2), (1, 1), (2, 1, 1, 2)), (7, 9, 6)), False),
    "uneven": (depthwise(Window((2, 3), (2, 1), (1, 1), (0, 0, 0, 0)), (6, 5, 2)), True),
    "apart": (LinearGeometry(Window((1, 1), (2, 3), (1, 1), (0, 0, 0, 0)), (5, 6, 4), (7, 1, 1, 4)), True),
}
"""With whether weights are known."""


def input_gradient_site(geometry: LinearGeometry, *, known: bool) -> Site:
    rng = np.random.default_rng(0)
    op = InputGradient(geometry, (1, *geometry.image), -20)
    weights = TensorType(geometry.weights, INT8, Quantization.per_tensor(0.1, 0))
    scales = TensorType((geometry.outputs,), INT16)
    gradient = TensorType((1, *geometry.positions, geometry.outputs), INT16)
    sig = Signature((gradient, EXPONENT, weights, scales), (TensorType(op.shape, INT16), EXPONENT))
    mantissas = rng.integers(1 << 12, 1 << 15, geometry.outputs).astype(np.int16)
    mantissas[0] = 32767
    values = rng.integers(-127, 128, geometry.weights).astype(np.int8) if known else None
    names = ("gradient", "exponent", "weights", "scales"), ("output", "output_exponent")
    return Site(Node("layer", op, *names), sig, (None, None, values, mantissas))


def weight_update_site(positions: int, inputs: int, outputs: int, *, one_unit: bool) -> Site:
    geometry = LinearGeometry(POINTWISE, (1, positions, inputs), (outputs, 1, 1, inputs))
    units = np.random.default_rng(0).integers(1 << 14, 1 << 15, (1 if one_unit else outputs, 2)).astype(np.int32)
    units[:, 1] = np.resize([-20, 3], len(units))  # shifts of the step by more and by less than a word
    types = {
        "gradient": TensorType((1, 1, positions, outputs), INT16),
        "exponent": EXPONENT,
        "input": TensorType((1, 1, positions, inputs), INT8, Quantization.per_tensor(0.1, -7)),
        "weights": TensorType(geometry.weights, INT16),
        "rate": LEARNING_RATE,
        "units": TensorType(units.shape, INT32),
        "sums": TensorType(geometry.weights, INT32),
        "sums_exponent": EXPONENT,
        "next": TensorType(geometry.weights, INT16),
    }
    first = Node("sums", WeightGradient(geometry), ("gradient", "exponent", "input"), ("sums", "sums_exponent"))
    descent = GradientDescent(None if one_unit else 0)
    second = Node("next", descent, ("weights", "sums", "sums_exponent", "rate", "units"), ("next",))
    node = fused([first, second], types)
    sig = Signature(tuple(types[name] for name in node.inputs), (types["next"],))
    return Site(node, sig, tuple(units if name == "units" else None for name in node.inputs))


IN_TWO_PASSES = {
    pointwise_gradient_in_two_passes: ("pairs", "odd", "trained"),
    depthwise_gradient_in_two_passes: ("depthwise", "halved", "uneven", "even"),
}


def master_gradient_site(image: tuple[int, int, int], trained: int, outputs: int) -> Site:
    """Of a pointwise layer, of which so many input channels are trained."""
    geometry = LinearGeometry(POINTWISE, image, (outputs, 1, 1, image[2]))
    last = input_gradient_site(geometry, known=False)
    gradient, exponent, whole, scales = last.sig.inputs
    known = np.random.default_rng(0).integers(-127, 128, (outputs, 1, 1, image[2] - trained)).astype(np.int8)
    types = {
        "master": TensorType((*geometry.weights[:3], trained), INT16),
        "others": TensorType(known.shape, INT8),
        "gradient": gradient,
        "exponent": exponent,
        "weights": whole,
        "scales": scales,
        **dict(zip(last.node.outputs, last.sig.outputs, strict=True)),
    }
    given = ("master", "others") if known.size else ("master",)
    node = fused([Node("rounded", RoundedWeights(), given, ("weights",)), last.node], types)
    sig = Signature(tuple(types[name] for name in node.inputs), tuple(types[name] for name in node.outputs))
    values = {"others": known, "scales": last.constants[3]}
    return Site(node, sig, tuple(values.get(name) for name in node.inputs))


MASTERS = (
    *((master_gradient_products, master_gradient_site((2, 3, 12), 12, 6)),),
    *((master_gradient_products, master_gradient_site((1, 5, 15), 6, 19)),),
    *((master_gradient_in_two_passes, master_gradient_site((3, 3, 12), 4, 18)),),
    *((master_gradient_in_two_passes, master_gradient_site((3, 7, 7), 7, 21)),),
)

WEIGHTS = (
    *((weight_update_products, weight_update_site(8, 12, 4, one_unit=False)),),
    *((weight_update_products, weight_update_site(15, 10, 5, one_unit=False)),),
    *((weight_update_products, weight_update_site(300, 7, 2, one_unit=True)),),
    *((weight_update_single, weight_update_site(1, 9, 5, one_unit=False)),),
)


def cases() -> list[tuple[Factory, Site]]:
    factories = [depthwise_gradient if g.depthwise else input_gradient_products for g, _ in GEOMETRIES.values()]
    sites = [input_gradient_site(geometry, known=known) for geometry, known in GEOMETRIES.values()]
    twice = [
        (factory, input_gradient_site(GEOMETRIES[name][0], known=GEOMETRIES[name][1]))
        for factory, names in IN_TWO_PASSES.items()
        for name in names
    ]
    return [*first_result([*zip(factories, sites, strict=True), *twice, *MASTERS]), *WEIGHTS]


def gradients(site: Site) -> list[Array]:
    """Of any size: exponents and rates aren't any integers. Some channels have none. Memory for other results."""
    rng, given = np.random.default_rng(1), list[Array]()
    names = site.node.inputs
    for number, t in enumerate(site.sig.inputs):
        constant = site.constants[number]
        low, high = (-127, 128) if t.dtype == INT8 else (-9, 10) if t == EXPONENT else (-32640, 32640)
        values = rng.integers(low, high, t.shape).astype(t.dtype.carrier) if constant is None else constant
        if number >= len(names):
            values = np.zeros(t.shape, t.dtype.carrier)
        elif t == LEARNING_RATE:
            values = np.array([20000, -22], np.int32)
        elif number == 0:
            values[..., 1] = 0
        given.append(values)
    return given


def test_odd_shapes_in_assembly() -> None:
    check_emulated(cases(), isa=M7, strict=True, operands_of=gradients, expected_of=first_expected)


@pytest.mark.parametrize("number", [1, 3, 4, 7, 11, 12, 16, 18, 20, 22])
def test_odd_shapes(number: int) -> None:
    """Also with the result in the memory of the gradient, where kernels allow that."""
    factory, site = cases()[number]
    kernel, given = factory(site, M7), gradients(site)
    assert kernel is not None
    expected = first_expected(kernel, site, given)
    inputs = [None if constant is not None else value for value, constant in zip(given, site.constants, strict=True)]
    for share in sharings(kernel):
        found = run_kernel(kernel, inputs, site.sig.output, sanitize=True, share_operand=share)
        np.testing.assert_array_equal(found, expected)
