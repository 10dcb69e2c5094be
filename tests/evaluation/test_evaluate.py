"""`evaluate` on a real build: firmware, reference and float side by side, limits, pictures."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from PIL import Image

import tinycompile
from tests.conftest import DIGITS
from tests.support.onnx_builder import OnnxBuilder
from tinycompile.cli import main
from tinycompile.dtypes import INT8
from tinycompile.errors import SamplesError, TinycompileError, UsageError
from tinycompile.evaluation.data import Task, load_labelled
from tinycompile.evaluation.evaluate import evaluate_build
from tinycompile.evaluation.limits import Limit, check_limits, check_measures
from tinycompile.evaluation.others import float_outputs
from tinycompile.evaluation.pictures import image_axes, png
from tinycompile.ir import TensorType


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build for this machine without its softmax, and labelled samples beside it."""
    place = tmp_path_factory.mktemp("evaluate")
    (place / "labels.txt").write_text("".join(f"digit {number}\n" for number in range(10)))
    options = {"backend": ["class", "top_k:k=2"], "labels": place / "labels.txt"}
    tinycompile.compile(DIGITS / "digits_int8.tflite", "host", output=place / "out", single_file=True, **options)  # type: ignore[arg-type]
    data = np.load(DIGITS / "digits_calib.npz")
    np.savez(place / "eval.npz", x=data["x"][:150], y=data["y"][:150])
    return place


def invoke(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["evaluate", *map(str, arguments)])
    return done.exit_code, done.output


def test_three_columns_and_what_the_report_says_of_them(folder: Path) -> None:
    code, text = invoke(
        folder / "out", "--data", folder / "eval.npz", "--float", DIGITS / "digits.onnx", "--limit", 150, "--json"
    )
    assert code == 0, text
    found = json.loads(text)
    columns = {column["column"]: column for column in found["columns"]}
    assert list(columns) == ["firmware", "reference", "float"]
    assert columns["firmware"]["top1"] == columns["reference"]["top1"] > 0.95
    assert found["agreement"][0]["same_outputs"] == 150 and found["agreement"][1]["same_class"] > 0.98
    assert found["notes"] == [
        "the build's scores are what the softmax is given, which isn't computed; where the float model ends with it, "
        "only classes can be compared"
    ]
    matrix = np.array(found["confusion"])
    assert matrix.sum() == 150 and np.trace(matrix) == round(150 * columns["firmware"]["top1"])
    wrong = 150 - np.trace(matrix)
    assert len(found["worst"]) == wrong and all(each["label"] != each["decided"] for each in found["worst"])
    picture = Image.open(io.BytesIO(base64.b64decode(found["worst"][0]["picture"])))
    sample = np.load(folder / "eval.npz")["x"][found["worst"][0]["sample"], ..., 0]
    assert picture.size == (8, 8) and np.abs(np.asarray(picture) / 255 - sample).max() < 0.02
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["evaluation"] == {key: found[key] for key in report["evaluation"]}
    assert "Worst samples" in (folder / "out" / "report.html").read_text()


def test_the_build_has_no_softmax_and_a_header_with_what_was_asked_for(folder: Path) -> None:
    """The reference's column has the scores that the softmax would be given, and equals the firmware's."""
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["options"]["folded_output"] == 0 and report["options"]["backend"] == ["class", "top_k:k=2"]
    assert "softmax" not in {layer["op"] for layer in report["layers"]}
    header = (folder / "out" / "digits_int8_backend.h").read_text()
    assert "digits_int8_class_label" in header and "#define DIGITS_INT8_TOP_K 2" in header
    alone = (folder / "out" / "single" / "digits_int8_backend.h").read_text()
    assert re.findall("#include (.*)", alone) == ["<stddef.h>", "<stdint.h>", '"digits_int8.h"']
    assert [each["class"] for each in report["evaluation"]["classes"]][9] == "digit 9"


def test_limits_decide_the_exit_code(folder: Path) -> None:
    given = (folder / "out", "--data", folder / "eval.npz", "--no-reference")
    code, text = invoke(*given, "--at-least", "top1=0.9", "--at-most", "top5=0.5")
    assert code == 1
    assert "digits_int8: 150 samples of eval.npz" in text and "worst samples: " in text
    assert re.search("top1 0.9[0-9]*, at least 0.9 is wanted  ok", text)
    assert "top5 1, at most 0.5 is wanted  missed" in text
    for limit in ("top1", "top1=nan"):
        code, text = invoke(*given, "--at-least", limit)
        assert code == 2 and "write top1=0.9" in text


def test_limits_of_what_is_not_measured_or_not_defined() -> None:
    facts = {"task": "binary", "columns": [{"column": "firmware", "auc": None, "top1": 0.5}]}
    (found,) = check_limits("m", facts, [Limit("auc", 0.1, at_least=True)])
    assert not found.kept and "undefined" in found.line()
    with pytest.raises(UsageError, match="measures of binary are: auc, top1"):
        check_limits("m", facts, [Limit("mse", 0.1, at_least=True)])
    check_measures("m", Task.ANOMALY, [Limit("mse", 0.1, at_least=False)])
    with pytest.raises(UsageError, match="measures of regression are: mse, mae, r2"):
        check_measures("m", Task.REGRESSION, [Limit("top1", 0.1, at_least=True)])


def test_threads_have_memory_of_their_own(folder: Path) -> None:
    build = tinycompile.Build(folder / "out")
    data = load_labelled(build, folder / "eval.npz")
    alone, together = (evaluate_build(build, data, name="", reference=False, jobs=jobs)["confusion"] for jobs in (1, 3))
    assert alone == together


def test_another_float_model(folder: Path) -> None:
    data = load_labelled(tinycompile.Build(folder / "out"), folder / "eval.npz", limit=1)
    with pytest.raises(UsageError, match="an input of int8, where the build has real numbers"):
        float_outputs(tinycompile.Build(folder / "out"), data, DIGITS / "digits_int8.tflite")
    with pytest.raises(SamplesError, match="don't fit the float model"):
        float_outputs(tinycompile.Build(folder / "out"), data, DIGITS.parent / "wine" / "wine.onnx")


@pytest.mark.parametrize("name", ["float16", "float64", "int8", "float32"])
def test_float_models_of_other_types(folder: Path, tmp_path: Path, name: str) -> None:
    """Real numbers are given as they want them; what onnxruntime refuses is said so."""
    b = OnnxBuilder()
    rows = 3 if name == "float32" else 64
    product = b.node("MatMul", b.node("Flatten", b.input((1, 1, 8, 8), name)), b.constant(np.ones((rows, 10), name)))
    b.output(product, name)
    onnx.save(b.model(), str(tmp_path / "m.onnx"))
    build = tinycompile.Build(folder / "out")
    data = load_labelled(build, folder / "eval.npz", limit=1)
    if name in ("float16", "float64"):
        assert np.ptp(float_outputs(build, data, tmp_path / "m.onnx")) == 0
        return
    with pytest.raises(TinycompileError, match="onnxruntime refuses"):
        float_outputs(build, data, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("shape", "layout", "axes"),
    [
        ((1, 8, 9, 3), "NHWC", (1, 2, 3)),
        ((1, 3, 8, 9), "model", (2, 3, 1)),
        ((1, 3, 8, 9), "NHWC", None),
        ((1, 49, 10, 1), "NHWC", (1, 2, 3)),
        ((1, 20, 30), "model", (1, 2, None)),
        ((1, 640), "model", None),
        ((1, 8, 8, 16), "NHWC", None),
    ],
)
def test_which_inputs_are_images(shape: tuple[int, ...], layout: str, axes: tuple[int, int, int | None] | None) -> None:
    assert image_axes(TensorType(shape, INT8), layout) == axes


def test_pictures_are_png_files() -> None:
    rng = np.random.default_rng(0)
    for shape in ((5, 7), (4, 6, 3)):
        pixels = rng.integers(0, 256, shape, np.uint8)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(pixels)))), pixels)
