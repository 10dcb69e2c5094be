"""Kernels of training steps: those that plans prefer others to, and odd shapes; tests/training has whole steps."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.training_cases import first_expected
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tests.support.several_results import first_result, with_last
from tests.training.networks import RandomNetwork
from tinycompile.dtypes import INT8, INT16
from tinycompile.interpreter import initial, run
from tinycompile.ir import Array, Node, Quantization, Signature, Site, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.training_layers import gradient_descent, weight_gradient
from tinycompile.kernels.training_products import input_gradient_products
from tinycompile.ops._spatial import Window
from tinycompile.ops._training.gradient import EXPONENT
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.ops._training.parameters import GradientDescent
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
GEOMETRIES = {
    "pairs": (LinearGeometry(POINTWISE, (2, 3, 8), (6, 1, 1, 8)), True),
    "odd": (LinearGeometry(POINTWISE, (3, 3, 6), (5, 1, 1, 6)), True),
    "one": (LinearGeometry(POINTWISE, (1, 1, 13), (9, 1, 1, 13)), True),
    "trained": (LinearGeometry(POINTWISE, (3, 5, 12), (18, 1, 1, 12)), False),
    "window": (LinearGeometry(Window((3, 2), (2, 1), (1, 2), (1, 0, 1, 2)), (7, 5, 3), (4, 3, 2, 3)), True),
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


def gradients(site: Site) -> list[Array]:
    """Of any size: an exponent isn't any integer."""
    rng, given = np.random.default_rng(1), list[Array]()
    for number, t in enumerate(site.sig.inputs[: len(site.node.inputs)]):
        constant = site.constants[number]
        low, high = (-9, 9) if t == EXPONENT else (-127, 127) if t.dtype == INT8 else (-32767, 32767)
        given.append(rng.integers(low, high, t.shape).astype(t.dtype.carrier) if constant is None else constant)
    return given


@pytest.mark.parametrize("name", ["odd", "trained", "window"])
def test_input_gradients(name: str) -> None:
    geometry, known = GEOMETRIES[name]
    site = input_gradient_site(geometry, known=known)
    kernel, given = input_gradient_products(site, M7), gradients(site)
    assert kernel is not None
    expected, exponent = site.node.op.evaluate(site.sig, given)
    inputs = [None if constant is not None else value for value, constant in zip(given, site.constants, strict=True)]
    one = with_last(kernel, 2 if known else 3, 2, 0)
    found = run_kernel(one, [*inputs, np.zeros_like(exponent)], site.sig.output, sanitize=True)
    np.testing.assert_array_equal(found, expected)


def test_input_gradients_in_assembly() -> None:
    cases = first_result([(input_gradient_products, input_gradient_site(g, known=k)) for g, k in GEOMETRIES.values()])
    check_emulated(cases, isa=M7, operands_of=with_memory, expected_of=first_expected)


def with_memory(site: Site) -> list[Array]:
    """Operands, then memory for the results that come as such."""
    given = gradients(site)
    return [*given, *(np.zeros(t.shape, t.dtype.carrier) for t in site.sig.inputs[len(given) :])]
