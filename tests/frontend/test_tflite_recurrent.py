"""Recurrent layers of floats against LiteRT, over several inferences that follow each other."""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pytest

from tests.support.litert import Oracle
from tests.support.recurrent_files import NAMES, recurrent_inputs, recurrent_parts
from tests.support.tflite_builder import NONE, RELU, TANH
from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph


def imported(content: bytes) -> Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return import_tflite(content, "m", "m.tflite")


@pytest.mark.parametrize("name", NAMES)
def test_against_litert(name: str) -> None:
    activations = (TANH, RELU) if name.endswith("LSTM") else (TANH, NONE)
    for merged, time_major, activation in product((False, True), (False, True), activations):
        if name == "RNN" and time_major:
            continue
        if name.endswith("LSTM") and merged and not time_major:
            continue  # see below
        b, inputs, outputs = recurrent_parts(name, merged=merged, time_major=time_major, activation=activation)
        content, sequence = b.build(inputs, outputs), recurrent_inputs(name, 3)
        graph, oracle = imported(content), Oracle(content)
        for x, ours in zip(sequence, interpreter.steps(graph, [[x] for x in sequence]), strict=True):
            theirs = oracle.run([x])
            for value, place in zip(graph.outputs, outputs, strict=True):
                np.testing.assert_allclose(ours[value], theirs[place], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES[2:])
def test_auxiliary_inputs_are_refused(name: str) -> None:
    b, inputs, outputs = recurrent_parts(name)
    operands = list(b.ops[-1].inputs)
    operands[9 if name.endswith("RNN") else 39] = inputs[0]
    b.ops[-1].inputs = operands
    with pytest.raises(UnsupportedError, match="it has auxiliary inputs"):
        imported(b.build(inputs, outputs))


def test_merged_states_are_refused() -> None:
    """LiteRT steps from one sequence's state to the next by the length of a merged result, beyond the states' end."""
    b, inputs, outputs = recurrent_parts("BIDIRECTIONAL_SEQUENCE_LSTM")
    with pytest.raises(UnsupportedError, match="LiteRT takes other states for theirs"):
        imported(b.build(inputs, outputs))
