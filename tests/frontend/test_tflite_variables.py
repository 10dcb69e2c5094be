"""Variables with handles: VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, CALL_ONCE."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.litert import Oracle
from tests.support.tflite_builder import TfliteBuilder
from tests.support.variable_models import KEPT, rows, streaming_model, streaming_parts
from tinycompile import interpreter
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.verify.operators import Operators


def test_a_sequence_against_litert() -> None:
    """Whole, and operator by operator; the variable begins with what CALL_ONCE assigns."""
    content = streaming_model()
    graph, whole, apart = import_tflite(content, "m", "m.tflite"), Oracle(content), Operators(content, 0)
    (x,), (y,) = ([detail["index"] for detail in details] for details in (apart.inputs, apart.outputs))
    sequence = rows(4)
    for values, ours in zip(sequence, interpreter.steps(graph, [[x] for x in sequence]), strict=True):
        theirs = whole.run([values])[y]
        np.testing.assert_array_equal(ours[graph.outputs[0]], theirs)
        np.testing.assert_array_equal(apart.computed({x: values}, lambda _: None)[y], theirs)
    assert not apart.unwitnessed
    (state,) = graph.states
    assert state.initial.any() and state.initial.shape == (1, KEPT, 4)


def message(b: TfliteBuilder, inputs: list[int], outputs: list[int]) -> str:
    with pytest.raises((UnsupportedError, ModelFileError)) as error:
        import_tflite(b.build(inputs, outputs), "m", "m.tflite")
    return str(error.value)


def test_nothing_initialises_a_variable() -> None:
    assert "nothing initialises the variable 'rows'" in message(*streaming_parts(initialised=False))


def test_a_variable_begins_with_another_type() -> None:
    b, inputs, outputs = streaming_parts()
    first = b.others[0].content
    first.tensors[1].shape = [1, KEPT, 2]
    first.tensors[1].data = bytes(2 * KEPT)
    assert "the variable 'rows' is int8[1x2x4], and begins with the shape 1x2x2" in message(b, inputs, outputs)


def test_a_handle_is_no_output() -> None:
    b, inputs, outputs = streaming_parts()
    (handle,) = (place for place, tensor in enumerate(b.tensors) if tensor.name == "handle")
    assert "output 'handle'" in message(b, inputs, [*outputs, handle])


def test_an_assignment_of_another_scale() -> None:
    b, inputs, outputs = streaming_parts()
    (kept,) = (tensor for tensor in b.tensors if tensor.name == "kept")
    kept.zero_point = [4]
    assert "with another scale or zero point" in message(b, inputs, outputs)


def test_an_initialising_subgraph_that_computes() -> None:
    b, inputs, outputs = streaming_parts()
    first = b.others[0].content
    first.tensors[1].data = None
    assert "computes what a variable begins with" in message(b, inputs, outputs)
    b, inputs, outputs = streaming_parts()
    first = b.others[0].content
    first.op("RELU", [1], [first.tensor((1, KEPT, 4), 0.05, 3)])
    assert "it runs has the operator RELU" in message(b, inputs, outputs)
