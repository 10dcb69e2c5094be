"""Every handed model file in TFLM as a whole, against `--match tflm`."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.conftest import SHARED
from tests.reliability.cases import FLOAT_TOLERANCE, Case, cases, difference, numbered
from tests.support import tflm
from tinycompile import interpreter
from tinycompile.frontend import load

OUTSIDE = "kws.weights_outside"
"""TFLM runs it without its weights, which stand behind the flatbuffer."""

LEAST = 50
"""Files that TFLM ran when this was written; the others hold operators that it lacks."""


def against_the_wheel(case: Case) -> str | None:
    """What differs, for the first sample; "refused" where TFLM doesn't run it."""
    assert case.samples is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        graph = load(case.model, match="tflm")
    inputs = [
        array[0].reshape(graph.types[name].shape)
        for array, name in zip(numbered(case.samples, "input"), graph.inputs, strict=True)
    ]
    try:
        theirs = tflm.run(case.model.read_bytes(), inputs, len(graph.outputs))
    except RuntimeError:
        return "refused"
    values = interpreter.run(graph, inputs)
    ours = [np.asarray(values[name]).reshape(array.shape) for name, array in zip(graph.outputs, theirs, strict=True)]
    return difference(ours, theirs, FLOAT_TOLERANCE)


def test_handed_models() -> None:
    pytest.importorskip("tflite_micro", reason="the wheel tflite-micro isn't installed")
    if not SHARED.is_dir():
        pytest.skip("no handed models here")
    found = {c.name: against_the_wheel(c) for c in cases() if c.model.suffix == ".tflite" and c.name != OUTSIDE}
    assert {name: what for name, what in found.items() if what not in (None, "refused")} == {}
    assert sum(what is None for what in found.values()) >= LEAST
