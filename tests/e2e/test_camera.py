"""`--camera`: frames as a camera gives them, cut, made smaller and converted in front of the model, exact on this
machine and in QEMU; row by row, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from tests.conftest import DIGITS
from tests.support.full import FULL, also
from tests.support.onnx_builder import OnnxBuilder
from tinycompile import compile as compile_model
from tinycompile import interpreter
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.errors import UsageError
from tinycompile.ir import Array
from tinycompile.lowering import imported
from tinycompile.ops.pixels import FORMATS
from tinycompile.options import Options
from tinycompile.passes.camera import Camera

MODEL = DIGITS / "digits_int8.tflite"


def frames(build: Build, count: int = 4) -> Array:
    (t,) = build.inputs
    return np.random.default_rng(0).integers(0, 256, (count, *t.shape[1:]), np.uint8)


def expected(build: Build, x: Array, **options: Any) -> Array:
    """By the definition of every operator."""
    graph = imported(MODEL, Options.of(**options))
    (output,) = graph.outputs
    return np.concatenate([interpreter.run(graph, [frame[None]])[output] for frame in x])


CAMERAS = [
    *also(
        ("rgb565,40x32", "4,0,32,32", "auto"),
        ("gray8,8x8", None, "auto"),
        ("yuyv,20x12", "2,1,16,10", "bilinear"),
        ("bayer_grbg,40x36", "2,4,32,32", "nearest"),
        ("rgb888,30x20", "3,2,20,16", "nearest"),
        ("uyvy,48x24", "0,0,48,24", "auto"),
    ),
]


@pytest.mark.parametrize(("camera", "crop", "resize"), CAMERAS)
def test_what_the_definition_says(camera: str, crop: str | None, resize: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"camera": camera, "crop": crop, "resize": resize}
    build = compile_model(MODEL, "host", output=tmp_path / "out", **options)
    x = frames(build)
    assert np.array_equal(build.run(x), expected(build, x, **options))


@pytest.mark.parametrize("rows", ["rows", *also("none")])
def test_row_by_row_in_qemu_and_verified(rows: str, tmp_path: Path) -> None:
    options = {"camera": "rgb565,40x32", "crop": "4,0,32,32"}
    given: dict[str, Any] = {**options, "input_stream": rows, "ram": 2048 if rows == "rows" else None}
    build = compile_model(MODEL, "mps2-an386", output=tmp_path / "out", **given)
    x = frames(build)
    want = expected(build, x, **options)
    assert np.array_equal(build.run(x), want)
    frame = int(np.prod(build.inputs[0].shape))
    assert rows == "none" or build.report["ram"]["arena_bytes"] < frame
    np.savez(tmp_path / "x.npz", input_0=x)
    result = CliRunner().invoke(main, ["verify", str(build.folder), "--samples", str(tmp_path / "x.npz")])
    assert result.exit_code == 0 and "0 differences" in result.output, result.output


@pytest.mark.skipif(not FULL, reason="another model: `make test-full` runs it")
def test_channels_first_and_three_colours(tmp_path: Path) -> None:
    """The file's image has channels first; the camera's has them last, and no transposition is executed."""
    b, rng = OnnxBuilder(), np.random.default_rng(0)
    x, weights = b.input((1, 3, 16, 16), name="image"), b.constant(rng.normal(size=(4, 3, 3, 3)).astype(np.float32))
    b.output(b.node("Relu", b.node("Conv", x, weights, pads=[1, 1, 1, 1])))
    onnx.save(b.model(), str(tmp_path / "net.onnx"))
    np.savez(tmp_path / "calib.npz", image=rng.random((8, 3, 16, 16), np.float32))
    given: dict[str, Any] = {"calib": tmp_path / "calib.npz", "io": "int8", "camera": "bayer_bggr,70x66"}
    given |= {"crop": "2,2,64,64"}
    build = compile_model(tmp_path / "net.onnx", "mps2-an386", output=tmp_path / "out", **given)
    assert not any(layer["op"] == "transpose" for layer in build.report["layers"][:2])
    np.savez(tmp_path / "x.npz", input_0=frames(build))
    result = CliRunner().invoke(main, ["verify", str(build.folder), "--samples", str(tmp_path / "x.npz")])
    assert result.exit_code == 0 and "0 differences" in result.output, result.output


def test_values_are_the_models_numbers() -> None:
    """White is 1.0 to the model unless it is said otherwise; its number is that of the model's own scale."""
    camera = Camera.of("gray8,8x8", None, "auto", "0-1")
    assert camera.reals(1)[0, [0, 255]].tolist() == [0, 1]
    assert Camera.of("rgb888,8x8", None, "auto", "-1-1").reals(3)[:, [0, 255]].tolist() == [[-1, 1]] * 3
    found = Camera.of("rgb888,8x8", None, "auto", "imagenet").reals(3)
    assert np.allclose(found[:, 255], (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"camera": "rgb555,8x8"}, "no format 'rgb555'"),
        ({"camera": "rgb565"}, "says no size"),
        ({"camera": "gray8,99999999x9"}, "sides of at most 4,096"),
        ({"camera": "gray8,8x8", "crop": "1,0,8,8"}, "no part of frames of 8x8"),
        ({"crop": "0,0,8,8"}, "--crop needs --camera"),
        ({"camera": "gray8,8x8", "slide": "1=2"}, "doesn't go with --slide"),
    ],
)
def test_options_that_make_no_sense(options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Options.of(**options).check()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"camera": "gray8,30x30", "resize": "area"}, "size of 24x24, or --resize bilinear"),
        ({"camera": "yuyv,20x8", "crop": "1,0,8,8"}, "2 columns belong together"),
        ({"camera": "yuyv,9x8", "crop": "0,0,8,8"}, "frames of 9 columns cut through pixels"),
        ({"camera": "bayer_rggb,20x20", "crop": "0,0,16,17"}, "2 columns and 2 rows"),
        ({"camera": "bayer_rggb,20x20", "crop": "0,1,16,16"}, "2 columns and 2 rows"),  # whose reds were greens
    ],
)
def test_parts_that_formats_dont_allow(options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        imported(MODEL, Options.of(**options))


def test_formats_are_those_of_the_header() -> None:
    header = (Path(__file__).parents[2] / "runtime" / "kernels" / "tc_pixels.h").read_text()
    names = header.partition("enum {")[2].partition("}")[0].replace("TC_", "").lower().split(",")
    assert [name.strip() for name in names] == list(FORMATS)
