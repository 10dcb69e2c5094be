"""Whole builds of what keeps samples and frames from one inference to the next, against TFLM."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.ops import (
    test_signal_filter_bank_spectral_subtraction,
    test_signal_framer,
    test_signal_overlap_add,
    test_signal_stacker,
)
from tests.ops.signal_models import SignalForm, measured, ours, signal_sites, theirs
from tests.support.full import also
from tinycompile.passes.own_states import own_states as with_own_memory

MODULES = (
    test_signal_framer,
    test_signal_stacker,
    test_signal_overlap_add,
    test_signal_filter_bank_spectral_subtraction,
)


@pytest.mark.parametrize("form", also(*(form for module in MODULES for form in module.FORMS)))
def test_builds(form: SignalForm, tmp_path: Path) -> None:
    path, sequence = tmp_path / "m.tflite", form.sequence(12)
    path.write_bytes(form.content())
    build = tinycompile.compile(path, target="host", output=tmp_path / "out")
    found = build.execute([np.stack(each) for each in zip(*sequence, strict=True)]).outputs
    right = theirs(form, sequence) if find_spec("tflite_micro") is not None else ours(form, sequence)
    for step, expected in enumerate(right):
        shaped = [np.asarray(array[step]).reshape(shape) for array, (shape, _) in zip(found, form.outputs, strict=True)]
        for a, b in zip(measured(form, shaped), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("module", MODULES)
def test_states_stay_where_they_are(module: object) -> None:
    """Without copies: the operator writes the memory that it reads."""
    kind = module.__name__.rpartition("test_")[2]  # type: ignore[attr-defined]
    assert signal_sites(kind)
    for form in module.FORMS:  # type: ignore[attr-defined]
        graph = form.graph()
        if graph.states:
            own = with_own_memory(graph)
            copies = [node for node in own.nodes if node.op.kind == "identity"]
            assert len(copies) == (1 if kind.endswith("subtraction") else 0), "an output that is a state has a copy"
