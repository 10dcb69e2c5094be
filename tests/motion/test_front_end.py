"""Front ends for motion: from samples to a model's windows, in one firmware, and what is none."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import ROOT
from tests.support.full import also
from tests.support.pages import blocks, run_page
from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.cli import main
from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8, DType
from tinycompile.errors import SamplesError, UsageError
from tinycompile.ir import Array, Graph, Node, Quantization, TensorType, verify
from tinycompile.lowering import imported
from tinycompile.motion.front_end import Motion, front_end, with_motion
from tinycompile.motion.windows import windows
from tinycompile.ops.identity import Identity
from tinycompile.options import Options
from tinycompile.predecessor import options_of_build

IMU = 'kind = "imu"\nhop = 52\nrate_in = 104\nrate_out = 50\nrange = 8\n'
CONSTANTS = 'normalise = "constants"\nmean = [0.5, -1, 7.9]\ndeviation = 0.5\n'
STEPS = 32


def settings(folder: Path, text: str = "") -> Path:
    path = folder / "imu.toml"
    path.write_text(IMU + text)
    return path


def read(folder: Path, text: str = "") -> Motion:
    found = Motion.read(str(settings(folder, text)))
    assert found is not None
    return found


def model(folder: Path, shape: tuple[int, ...] = (1, STEPS, 3)) -> Path:
    """Two scores of a window of int8."""
    b, rng, count = TfliteBuilder(), np.random.default_rng(0), int(np.prod(shape))
    x, flat = (b.tensor(each, 0.05, -3) for each in (shape, (1, count)))
    y, w = b.tensor((1, 2), 0.5, 3), b.constant(rng.integers(-127, 128, (2, count)).astype(np.int8), 0.01)
    b.op("RESHAPE", [x, b.constant(np.array([1, count], np.int32))], [flat])
    b.op("FULLY_CONNECTED", [flat, w, b.constant(np.zeros(2, np.int32), 0.01 * 0.05)], [y])
    path = folder / "motion.tflite"
    path.write_bytes(b.build([x], [y]))
    return path


def hops(count: int, hop: int = 52) -> Array:
    """int16 (count, hop, 3): one axis that is still for a while, one that is loud, and one beyond its range."""
    samples = np.random.default_rng(count).normal([4096, 0, 0], [300, 8000, 60000], (count, hop, 3))
    samples[0, :, 0] = 4096
    return np.clip(samples.round(), -32768, 32767).astype(np.int16)


def expected(graph: Graph, samples: Array) -> Array:
    values = interpreter.steps(graph, [[hop[None]] for hop in samples])
    return np.concatenate([each[graph.outputs[0]] for each in values])


BUILDS = [
    ("host", CONSTANTS),
    *also(*((t, n) for t in ("rp2040", "mps2-an386", "mps2-an500") for n in (CONSTANTS, "own"))),
]


@pytest.mark.parametrize(("target", "text"), BUILDS)
def test_a_build(target: str, text: str, tmp_path: Path) -> None:
    """Samples to scores, as the definition says and as LiteRT judges windows; without the user's file from then on."""
    path, toml = model(tmp_path), settings(tmp_path, 'normalise = "window"' if text == "own" else text)
    graph, x = imported(path, Options.of(frontend=str(toml))), hops(5)
    build = tinycompile.compile(path, target=target, frontend=str(toml), output=tmp_path / "out")
    motion = Motion.read(str(toml))
    toml.unlink()
    assert options_of_build(build.folder, build.report, Options()).motion == motion
    found = build.execute([x]).outputs[0].reshape(-1, 2)
    assert len(np.unique(found, axis=0)) == 5 and build.inputs[0].shape == (1, 52, 3)
    np.testing.assert_array_equal(found, expected(graph, x))
    if target == "host":
        return
    np.savez(tmp_path / "x.npz", input_0=x)
    result = CliRunner().invoke(main, ["verify", str(build.folder), "--samples", str(tmp_path / "x.npz")])
    assert result.exit_code == 0 and " 0 differences" in result.output, result.output


def test_verify_goes_on_from_hop_to_hop(tmp_path: Path) -> None:
    """The reference's windows are those of the definition, from the beginning again after a reset."""
    from tinycompile.verify.framed import FramedReference
    from tinycompile.verify.reference import Witness

    class Recorder:
        def __init__(self) -> None:
            self.windows, self.resets = list[Array](), 0
            self.witnesses = (Witness("first", "1", ""), Witness("second", "2", "", "decides ties"))

        def judge(self, inputs: list[Array], reported: object) -> None:
            self.windows.append(inputs[0])

        def reset(self) -> None:
            self.resets += 1

    motion, recorder, x = read(tmp_path), Recorder(), hops(4)
    front = front_end(motion, "window", TensorType((1, STEPS, 3), FLOAT32))
    reference = FramedReference(recorder, front, (1, STEPS, 3))  # pyright: ignore[reportArgumentType]
    for _ in range(2):
        for hop in x:
            reference.judge([hop[None]], [])
        reference.reset()
    once = windows(motion, x.reshape(-1, 3), STEPS)
    np.testing.assert_array_equal(np.concatenate(recorder.windows), np.concatenate([once, once]))
    assert recorder.resets == 2
    # Layers are counted for a witness by its number: ours, of the front end, comes after those.
    assert [each.name for each in reference.witnesses] == ["first", "second", "tinycompile's definitions"]


def test_windows_are_those_of_a_recording(tmp_path: Path) -> None:
    """They overlap: the newest steps of all that came, in the sensor's unit; what is normalised is."""
    motion, samples = replace(read(tmp_path), rate_in=1, rate_out=1, hop=10), hops(4, 10).reshape(-1, 3)
    found = windows(motion, samples, STEPS)
    line = np.concatenate([np.zeros((STEPS, 3)), samples]) * (8 / 32768)
    for i, window in enumerate(found):
        np.testing.assert_array_equal(window, line[10 * (i + 1) :][:STEPS].astype(np.float32))
    own = windows(replace(motion, normalise="window", channels_first=True), samples, STEPS)
    np.testing.assert_allclose(own[3].mean(1), 0, atol=1e-3)
    np.testing.assert_allclose(own[3].std(1), 1, atol=1e-3)
    constants = windows(replace(motion, normalise="constants", mean=(1.0,), deviation=(2.0, 3.0, 4.0)), samples, STEPS)
    np.testing.assert_allclose(constants, (found - 1) / [2, 3, 4], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "dtype", "text"),
    [
        ((1, STEPS, 3), INT8, ""),
        ((1, 1, STEPS, 3), INT16, ""),
        ((1, STEPS, 3, 1), INT8, ""),
        ((1, STEPS * 3), FLOAT32, ""),
        ((1, 3, STEPS), FLOAT32, "channels_first = true"),
        ((1, 1, 3, STEPS), INT8, "channels_first = true"),
        ((1, STEPS), INT8, "channels = 1"),
        ((1, 25, 3), INT8, ""),
    ],
)
def test_forms_of_windows(shape: tuple[int, ...], dtype: DType, text: str, tmp_path: Path) -> None:
    """Numbers are what `windows` says, rounded to the model's scale; one hop alone makes the last steps."""
    motion = read(tmp_path, text)
    quant = None if dtype == FLOAT32 else Quantization.per_tensor(0.07 if dtype == INT8 else 0.001, 4)
    t, x = TensorType(shape, dtype, quant), hops(3)[..., : motion.channels]
    found = expected(front_end(motion, "x", t), x)
    assert found.shape == (3, *shape[1:]) and found.dtype == dtype.carrier
    real = windows(motion, x.reshape(-1, motion.channels), t.elements // motion.channels).reshape(found.shape)
    if quant is None:
        np.testing.assert_array_equal(found, real)
    else:
        off = np.abs(found - np.clip(real.astype(np.float64) / t.scale + 4, *dtype.range))
        assert off.max() < 0.5 + 1e-3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("chanels = 4", "'chanels' is no setting"),
        ("channels = 4.5", "channels is 4.5"),
        ("channels = true", "channels is True"),
        ("channels = 0", "channels is 0"),
        (f"channels = {10**9}", "a hop of 52 samples of 1000000000 channels"),
        (f"rate_in = {10**400}", "rate_in is 1000"),
        ("channels_first = 1", "channels_first is 1"),
        ("hop = 50", "a hop of 50 samples gives no whole number of steps"),
        ("rate_out = nan", "rate_out is nan"),
        ("rate_out = 0.0001", "no ratio of integers"),
        ("range = []", r"range is \[\]"),
        ('range = ["8"]', r"range is \['8'\]"),
        ("range = [8, 8]", "range has 2 numbers"),
        ("range = -8", "range is -8"),
        ('normalise = "batch"', "normalise is 'batch'"),
        ("mean = 1", "mean without constants"),
        ('normalise = "window"\ndeviation = 2', "deviation without constants"),
        ('normalise = "constants"\ndeviation = 0', "deviation is 0"),
        ('normalise = "constants"\nmean = [1, 2, 9]', "a mean of 9 is outside"),
        ('kind = "camera"', "there is no kind 'camera'"),
        ("channels =", "no TOML file"),
    ],
)
def test_files_that_are_no_front_end(text: str, reason: str, tmp_path: Path) -> None:
    path, given = tmp_path / "wrong.toml", dict(line.split(" = ") for line in text.splitlines() if " = " in line)
    kept = [line for line in IMU.splitlines() if line.split(" = ")[0] not in given]
    path.write_text("\n".join([*kept, text]))
    with pytest.raises(UsageError, match=reason):
        Motion.read(str(path))


@pytest.mark.parametrize(
    ("shape", "dtype", "text", "reason"),
    [
        ((1, STEPS, 4), INT8, "", "no window of 3 channels"),
        ((1, 3, STEPS), INT8, "", "no window of 3 channels"),
        ((1, STEPS, 3), INT8, "channels_first = true", "no window of 3 channels"),
        ((2, STEPS, 3), INT8, "", "no window of 3 channels"),
        ((1, STEPS, 3), UINT8, "", "no window of 3 channels"),
        ((1, 24, 3), INT8, "", "no hop is longer than the window"),
        ((1, STEPS, 3), INT8, 'normalise = "constants"\ndeviation = 1e30', "of other sizes"),
    ],
)
def test_models_that_have_no_such_window(
    shape: tuple[int, ...], dtype: DType, text: str, reason: str, tmp_path: Path
) -> None:
    t = TensorType(shape, dtype, Quantization.per_tensor(0.05, 0))
    with pytest.raises(UsageError, match=reason):
        front_end(read(tmp_path, text), "x", t)


def test_names_that_the_model_has_already(tmp_path: Path) -> None:
    t = TensorType((1, STEPS, 3), FLOAT32)
    of_file: dict[str, TensorType] = dict.fromkeys(("x", "x/samples", "y"), t)
    graph = Graph("m", ("x",), ("y",), (Node("x/window", Identity(), ("x",), ("x/samples",)),), of_file, {})
    graph = replace(graph, nodes=(*graph.nodes, Node("n", Identity(), ("x/samples",), ("y",))))
    verify(with_motion(graph, read(tmp_path)), "with_motion")


def test_windows_of_what_is_no_recording(tmp_path: Path) -> None:
    motion, x = read(tmp_path), hops(2).reshape(-1, 3)
    for wrong in (x.astype(np.float32), x[:, :2], x.ravel()):
        with pytest.raises(SamplesError, match="samples of a recording"):
            windows(motion, wrong, STEPS)
    assert windows(motion, x[:51], STEPS).shape == (0, STEPS, 3)


@pytest.mark.parametrize(
    "others", [{"camera": "gray8,8x8"}, {"slide": "1=2"}, {"train": "head"}, {"input_stream": "rows"}]
)
def test_options_that_dont_go_together(others: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="doesn't go with"):
        Options.of(frontend=str(settings(tmp_path)), **others).check()


def test_settings_survive_as_text(tmp_path: Path) -> None:
    """As report.json keeps them; and what is for audio is none of these."""
    for text in ("", CONSTANTS, "channels_first = true"):
        motion = read(tmp_path, text)
        assert Motion.read(motion.text) == motion
    (tmp_path / "audio.toml").write_text("hop_ms = 20")
    assert Motion.read("micro") is None and Motion.read(str(tmp_path / "audio.toml")) is None


@pytest.mark.parametrize("also", also("page"))
def test_the_page(also: str, tmp_path: Path) -> None:
    """Its code; one who runs is told from one who walks, once a window is full."""
    page, folder = tmp_path / "motion.md", tmp_path / "folder"
    page.write_text(re.sub("<!-- not run: .* -->\n", "", (ROOT / "docs/motion.md").read_text()))
    folder.mkdir()
    run_page(page, folder)
    scores = np.load(folder / "scores.npz")["output_0"].reshape(-1, 2)[3:]
    assert (scores[:, 1] > scores[:, 0]).all()


def test_the_page_has_a_front_end(tmp_path: Path) -> None:
    (block,) = (block for block in blocks(ROOT / "docs/motion.md") if block.language == "toml")
    (tmp_path / block.file).write_text(block.text)
    assert Motion.read(str(tmp_path / block.file)) == Motion(3, 52, 104, 50, True, (8,), "window")
