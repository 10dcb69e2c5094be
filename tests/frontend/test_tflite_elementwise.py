"""Elementwise operators of TFLite files: islands of floats, activations, sums of several, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.elementwise import compare
from tests.ops.oracle import all_values, check
from tests.planner.test_fused import planned_for
from tests.support.cores import core_named
from tests.support.tflite_builder import RELU, TANH, TfliteBuilder
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph

M7 = core_named("cortex-m7", dsp=True, fpu=True)


def kernels_of(graph: Graph) -> list[str]:
    """The kernels that the planner takes for a model."""
    return [kernel.variant for kernel in planned_for(graph, M7).kernels]


def island(kind: str, **options: float) -> Graph:
    """DEQUANTIZE, a function of floats, QUANTIZE: what converters leave of operators that they can't quantise."""
    b, values = TfliteBuilder(), all_values()
    x, y = b.tensor(values.shape, 0.05, 3), b.tensor(values.shape, 0.04, -7)
    before, after = (b.tensor(values.shape, dtype="float32") for _ in range(2))
    b.op("DEQUANTIZE", [x], [before])
    b.op(kind, [before], [after], **options)
    b.op("QUANTIZE", [after], [y])
    return check(b, [y], {x: values})


@pytest.mark.parametrize("kind", ["NEG", "LEAKY_RELU", "ABS", "SQUARE", "SIGN", "FLOOR", "RELU6"])
def test_an_island_of_floats_is_a_table(kind):
    graph = island(kind, **({"Alpha": 0.1} if kind == "LEAKY_RELU" else {}))
    assert [node.op.kind for node in graph.nodes][::2] == ["dequantize", "quantize"]
    assert kernels_of(graph) == ["fused_table"]


def test_a_branch_of_comparisons_is_a_table():
    """`where(x > 0, x, exp(x))`, as SELU and its like are written."""
    b, values = TfliteBuilder(), all_values()
    x, zero = b.tensor(values.shape, 0.05, 3), b.constant(np.array(3, np.int8), 0.05, 3)
    positive, power = b.tensor(values.shape, dtype="bool"), b.tensor(values.shape, 0.05, 3)
    y = b.tensor(values.shape, 0.05, 3)
    b.op("GREATER", [x, zero], [positive])
    b.op("EXP", [x], [power])
    b.op("SELECT_V2", [positive, x, power], [y])
    assert kernels_of(check(b, [y], {x: values})) == ["fused_table"]


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_sums_of_several(dtype):
    operands = [np.arange(12).reshape(3, 4).astype(dtype) * factor for factor in (1, 3, 5, 7)]
    compare("ADD_N", [operand.astype(dtype) for operand in operands])


def refused(b: TfliteBuilder, inputs, outputs) -> str:
    b.tensor((1,), 0.5)
    with pytest.raises((UnsupportedError, ModelFileError)) as caught:
        import_tflite(b.build(inputs, outputs), "m", "m.tflite")
    return str(caught.value)


def pair(kind: str, dtype: str, quant: tuple[float, int] | None, **options: int) -> str:
    """Why two operands and a result of this type are refused."""
    b = TfliteBuilder()
    tensors = [b.tensor((2, 3), *(quant or ()), dtype=dtype) for _ in range(3)]
    b.op(kind, tensors[:2], tensors[2:], **options)
    return refused(b, tensors[:2], tensors[2:])


def test_what_is_refused():
    assert "ADD_N" in pair("ADD_N", "int8", (0.1, 3)) and "float32 and int32" in pair("ADD_N", "int8", (0.1, 3))
    assert "RELU" in pair("ADD", "int32", None, FusedActivationFunction=RELU)
    assert "TANH" in pair("MUL", "float32", None, FusedActivationFunction=TANH)
    assert "the input is int8" in pair("FLOOR_DIV", "int8", (0.1, 3))
    assert "int64" in pair("DIV", "int64", None)


def test_comparisons_of_scales_that_litert_has_no_rule_for():
    b = TfliteBuilder()
    x, y, z = b.tensor((4,), 1.0), b.tensor((4,), 0.5), b.tensor((4,), dtype="bool")
    b.op("GREATER", [x, y], [z])
    assert "a scale is 1 or more" in refused(b, [x, y], [z])


def test_a_choice_between_different_shapes():
    b = TfliteBuilder()
    c, x, y = b.tensor((4,), dtype="bool"), b.tensor((4,), 0.1), b.tensor((1,), 0.1)
    z = b.tensor((4,), 0.1)
    b.op("SELECT", [c, x, y], [z])
    assert "a choice between" in refused(b, [c, x, y], [z])
