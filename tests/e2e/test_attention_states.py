"""Past and present keys and values of ONNX's Attention as states: float32 and int8, step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import tinycompile
from tests.support.attention_decoder import HEADS, KEPT, SIZE, STATES, decoder, steps
from tinycompile import interpreter
from tinycompile.frontend.declared_states import longer_axis, newest, with_states
from tinycompile.frontend.onnx import import_onnx
from tinycompile.passes import optimize
from tinycompile.verify.compare import verify_build


def test_a_decoder_with_a_cache(tmp_path: Path) -> None:
    """The caches are integers that move on in their own memory; every step is onnxruntime's."""
    pytest.importorskip("onnxruntime")
    onnx.save(decoder("past", 1), str(tmp_path / "decoder.onnx"))
    np.savez(tmp_path / "x.npz", **steps("past", 12))
    options = {"calib": tmp_path / "x.npz", "calib_method": "minmax"}
    build = tinycompile.compile(tmp_path / "decoder.onnx", "host", states=STATES, output=tmp_path / "o", **options)
    assert build.report["ram"]["state_bytes"] == 2 * (KEPT + 1) * SIZE
    kernels = [layer["kernel"] for layer in build.report["layers"]]
    assert kernels.count("delay_line") == 2 and not {"concatenation", "copy"}.intersection(kernels)
    outcome = verify_build(build, *build.sequences(tmp_path / "x.npz", 1))
    assert outcome.difference is None and outcome.samples == 12
    assert build.report["quantization"]["sqnr_db"] > 20


@pytest.mark.parametrize(("way", "shared"), [("past", 1), ("past", HEADS), ("window", 1), ("scatter", 1)])
def test_the_oldest_rows_leave(way: str, shared: int, tmp_path: Path) -> None:
    """A step's states are the last rows of what the file's outputs were, before and after the passes."""
    onnx.save(decoder(way, shared), str(tmp_path / "decoder.onnx"))
    whole = import_onnx(tmp_path / "decoder.onnx", "decoder", floats="all")
    results = ("y", *STATES.values())
    graph = with_states(whole, list(STATES.items()), whole.inputs, results, "decoder.onnx")
    notes = [f"state {name} is the last 7 of 8 elements along axis 2: the oldest leave it" for name in STATES]
    assert graph.notes == (tuple(notes) if way == "past" else ())
    places = dict(zip(results, whole.outputs, strict=True))
    data, carried = steps(way, 12), {name: np.zeros(whole.types[name].shape, np.float32) for name in STATES}
    sequence = [[data[name][step].reshape(whole.types[name].shape) for name in graph.inputs] for step in range(12)]
    rolled = interpreter.steps(optimize(graph), sequence)
    for inputs, after, plain in zip(sequence, rolled, interpreter.steps(graph, sequence), strict=True):
        given = {**carried, **dict(zip(graph.inputs, inputs, strict=True))}
        values = interpreter.run(whole, [given[name] for name in whole.inputs])
        carried = {name: newest(values[places[out]], carried[name].shape) for name, out in STATES.items()}
        for values_of in (plain, after):
            np.testing.assert_array_equal(values_of[graph.outputs[0]], values[whole.outputs[0]])


@pytest.mark.parametrize(
    ("now", "then", "axis"),
    [((1, 3), (1, 4), 1), ((1, 3), (1, 3), None), ((1, 3), (1, 2), None), ((2, 3), (3, 4), None)],
)
def test_which_axis_is_longer(now: tuple[int, ...], then: tuple[int, ...], axis: int | None) -> None:
    assert longer_axis(now, then) == axis
    assert longer_axis(now, (*then, 1)) is None
