"""Audio front ends in front of a model, in one firmware, and those that aren't any."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.conftest import ROOT
from tests.support.full import also
from tests.support.pages import blocks, run_page
from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.audio.features import features
from tinycompile.audio.front_end import FrontEnd
from tinycompile.audio.merged import with_front_end
from tinycompile.audio.tables import filter_bank
from tinycompile.errors import TinycompileError, UnsupportedError, UsageError
from tinycompile.frontend.tflite import import_tflite

ROWS = 5
MFCC = """
sample_rate = 8000
window_ms = 32
hop_ms = 16
channels = 20
low_hz = 60
high_hz = 3800
dct = 8
unit = 12.5
noise = false
"""


def model(count: int, dtype: str = "int8") -> bytes:
    """Two scores of rows of features."""
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    if dtype == "float32":
        x, y = (b.tensor((1, n), dtype=dtype) for n in (ROWS * count, 2))
        w = b.constant(rng.normal(0, 0.1, (2, ROWS * count)).astype(np.float32))
        b.op("FULLY_CONNECTED", [x, w, -1], [y])
        return b.build([x], [y])
    x, y = b.tensor((1, ROWS, count, 1), 26 / 256, -128), b.tensor((1, 2), 9.0, 3)
    flat = b.tensor((1, ROWS * count), 26 / 256, -128)
    w = b.constant(rng.integers(-127, 128, (2, ROWS * count)).astype(np.int8), 0.01)
    bias = b.constant(np.zeros(2, np.int32), 0.01 * 26 / 256)
    b.op("RESHAPE", [x, b.constant(np.array([1, ROWS * count], np.int32))], [flat])
    b.op("FULLY_CONNECTED", [flat, w, bias], [y])
    return b.build([x], [y])


def speech(settings: FrontEnd, hops: int) -> np.ndarray:
    """A tone that gets louder and higher, with noise: int16[hops, hop]."""
    at = np.arange(hops * settings.hop) / settings.sample_rate
    tone = np.sin(2 * np.pi * (300 + 4000 * at) * at) * 3000 * np.exp(6 * at)
    noisy = tone + np.random.default_rng(0).normal(0, 200, at.shape)
    return np.clip(noisy, -32768, 32767).astype(np.int16).reshape(hops, settings.hop)


@pytest.mark.parametrize("also", also("build"))
def test_a_build(also: str, tmp_path: Path) -> None:
    """PCM to scores by generated C; docs/audio.md has another one."""
    path, settings = tmp_path / "kws.tflite", FrontEnd.read("micro")
    path.write_bytes(model(40))
    build = tinycompile.compile(path, target="host", frontend="micro", output=tmp_path / "out")
    content = with_front_end(path.read_bytes(), settings, "kws.tflite")
    assert build.source.read_bytes() == content
    pcm = speech(settings, 12)
    np.testing.assert_array_equal(build.execute([pcm]).outputs[0][:, 0], scores(content, pcm))


@pytest.mark.parametrize("also", also("page"))
def test_the_page(also: str, tmp_path: Path) -> None:
    """Its code; a sound that falls is told from one that rises."""
    text = (ROOT / "docs/audio.md").read_text()
    page, folder = tmp_path / "audio.md", tmp_path / "folder"
    page.write_text(re.sub("<!-- not run: .* -->\n", "", text))
    folder.mkdir()
    run_page(page, folder)
    falls, rises = np.load(folder / "scores.npz")["output_0"].reshape(-1, 2)[-1]
    assert falls > rises


def test_the_page_has_the_defaults(tmp_path: Path) -> None:
    (block,) = (block for block in blocks(ROOT / "docs/audio.md") if block.language == "toml")
    path = tmp_path / block.file
    path.write_text(block.text)
    assert FrontEnd.read(str(path)) == replace(FrontEnd.read("micro"), microspeech=False)


def scores(content: bytes, pcm: np.ndarray) -> np.ndarray:
    graph = import_tflite(content, "m", "m.tflite")
    return np.concatenate([values[graph.outputs[0]] for values in interpreter.steps(graph, [[hop] for hop in pcm])])


def test_a_model_with_the_front_end_of_micro_speech() -> None:
    """What TFLM computes of the merged file."""
    settings = FrontEnd.read("micro")
    content, pcm = with_front_end(model(40), settings, "kws.tflite"), speech(settings, 12)
    found = scores(content, pcm)
    assert len({tuple(each) for each in found.tolist()}) > 5, "features that don't change"
    assert hashlib.sha256(found.tobytes()).hexdigest()[:16] == "235ebd4d09736889"
    if find_spec("tflite_micro") is not None:
        wheel = import_module("tflite_micro").runtime.Interpreter.from_bytes(content, arena_size=1 << 17)
        for hop, right in zip(pcm, found, strict=True):
            wheel.set_input(hop, 0)
            wheel.invoke()
            np.testing.assert_array_equal(wheel.get_output(0)[0], right)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_cepstral_coefficients(dtype: str, tmp_path: Path) -> None:
    """What `features` gives to train with is what the model gets."""
    path = tmp_path / "mfcc.toml"
    path.write_text(MFCC)
    settings = FrontEnd.read(str(path))
    assert (settings.window, settings.hop, settings.points, settings.features) == (256, 128, 256, 8)
    pcm = speech(settings, 9)
    graph = import_tflite(with_front_end(model(8, dtype), settings, "m.tflite"), "m", "m.tflite", floats="all")
    rows = features(settings, pcm.ravel())
    assert rows.shape == (9, 8) and np.ptp(rows) > 10
    last = list(interpreter.steps(graph, [[hop] for hop in pcm]))[-1]
    given = last[next(name for name in graph.types if graph.types[name].elements == ROWS * 8)]
    if dtype == "int8":
        np.testing.assert_array_equal(
            given.ravel(), np.clip(np.round(rows[-ROWS:] * 256 / 26) - 128, -128, 127).ravel()
        )
    else:
        np.testing.assert_array_equal(given.ravel(), rows[-ROWS:].ravel())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("chanels = 4", "'chanels' is no setting"),
        ("channels = 4.5", "channels is 4.5"),
        ("channels = 0", "channels is 0"),
        ("hop_ms = 40", "contradict each other"),
        ("fft = 1022", "there is no such transform"),
        ("low_hz = 9000", "filters of no frequencies"),
        ("noise = 3", "noise is no table"),
        ("[noise]\neven = true", "even is True"),
        ("channels =", "no TOML file"),
        ("high_hz = 9000", "there are no such filters"),
        ("low_hz = 100\nhigh_hz = 110", "there are no such filters"),
        ("high_hz = inf", "high_hz is inf"),
        ("unit = nan", "unit is nan"),
        ("filter_bits = -2", "filter_bits is -2"),
        ("[noise]\neven = 2.0", "even is 2.0"),
        ("[noise]\noffset = -5", "offset is -5"),
        ("[noise]\nsmoothing_bits = 0", "smoothing_bits is 0"),
        ("[noise]\ngain_bits = 5", "gain_bits is 5"),
    ],
)
def test_files_that_are_no_front_end(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        FrontEnd.read(str(path))


def test_times_and_frequencies_need_not_be_whole(tmp_path: Path) -> None:
    """Up to the end of the spectrum, whose last number counts."""
    path = tmp_path / "odd.toml"
    path.write_text("window_ms = 23.22\nhop_ms = 11.61\nsample_rate = 22050\nfft = 540\nhigh_hz = 11025")
    settings = FrontEnd.read(str(path))
    assert (settings.window, settings.hop) == (512, 256)
    bank = filter_bank(settings.points, settings.sample_rate, settings.channels, settings.low_hz, settings.high_hz)
    assert bank.end == 540 // 2 + 1 and features(settings, speech(settings, 3).ravel()).shape == (3, 40)


def test_what_has_no_front_end(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no front end 'mikro'"):
        FrontEnd.read("mikro")
    with pytest.raises(UnsupportedError, match="rows of 40 features are computed"):
        with_front_end(model(7), FrontEnd.read("micro"), "m.tflite")
    path = tmp_path / "m.onnx"
    path.write_bytes(b"")
    small = tmp_path / "m.tflite"
    small.write_bytes(model(40))
    with pytest.raises(UsageError, match="--slide is for models without memory"):
        tinycompile.compile(small, target="host", frontend="micro", slide="time=1", output=tmp_path / "out")
    with pytest.raises(TinycompileError, match=r"--frontend is for \.tflite"):
        tinycompile.compile(path, target="host", frontend="micro", output=tmp_path / "out")
