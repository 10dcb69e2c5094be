"""Kernels of training steps that plans prefer others to; tests/training has those that they choose."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tests.support.several_results import with_last
from tests.training.networks import RandomNetwork
from tinycompile.interpreter import initial, run
from tinycompile.kernels.base import Factory
from tinycompile.kernels.training_layers import gradient_descent, weight_gradient
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
