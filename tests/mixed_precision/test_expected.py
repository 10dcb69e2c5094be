"""What a fit leaves of an error, said beforehand; and where errors are looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.mixed_precision import nets
from tinycompile.dtypes import INT8
from tinycompile.ir import Node, TensorType
from tinycompile.mixed_precision.expected import expected
from tinycompile.mixed_precision.scores import scores_of, scores_of_onnx
from tinycompile.ops.softmax import Softmax
from tinycompile.quantize.low_bits import fit_weights


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_the_part_that_a_fit_leaves_is_known_from_a_few_outputs(bits: int, alike: float) -> None:
    """Operands that say much of each other let a fit make up for more."""
    random = np.random.default_rng(bits)
    rows = random.normal(0, 1, (1, 40, 24)).astype(np.float32)
    operands = random.normal(0, 1, (24, 24))
    moment = ((1 - alike) * np.eye(24) + alike * operands @ operands.T / 24)[None].astype(np.float32)
    found, part = expected(rows, moment, bits, 0.01)
    fitted = fit_weights(rows, moment, bits)
    truth = float(fitted.errors.sum() / found.errors.sum())
    assert 0.8 * part < truth < 1.02 * part
    assert part == pytest.approx(1, abs=0.02) if not alike else part < 0.75


def test_scores_are_looked_at_in_front_of_a_softmax() -> None:
    graph = nets.graph()
    assert scores_of(graph) == ["scores"]
    t = TensorType((1, nets.CLASSES), INT8, nets.activation(1 / 256, -128))
    node = Node("last", Softmax(), ("scores",), ("parts",))
    more = replace(graph, nodes=(*graph.nodes, node), types={**graph.types, "parts": t}, outputs=("parts",))
    assert scores_of(more) == ["scores"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "p", "q")]
    nodes = [helper.make_node("Softmax", ["x"], ["p"]), helper.make_node("Relu", ["x"], ["q"])]
    assert scores_of_onnx(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]))) == ["x", "q"]
