"""`--match tflm`: the bytes of the `tflite-micro` wheel, where they aren't LiteRT's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import DIGITS
from tests.ops.tflm_models import MODELS, built
from tests.support import tflm
from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.choices import Runtime
from tinycompile.cli import main
from tinycompile.errors import UnsupportedError, UsageError
from tinycompile.frontend import load
from tinycompile.frontend.tflite import import_tflite

WHEEL = {
    "fully_connected": "dcc701057aad16d5",
    "fully_connected_per_channel": "3412eccb867f08e6",
    "fully_connected_without_bias": "553b4374c205c03b",
    "fully_connected_int16": "e342ee83eea70aaa",
    "fully_connected_int16_int32": "37a6bf1c43175261",
    "fully_connected_int16_without_bias": "c8008caff3c3ca28",
    "mul_int16": "d18e6eb9ec1b5eb0",
    "sum": "fcbcdaa78f74db48",
    "relu6": "46ccf0051edb6b00",
    "relu6_int16": "ca9812c9f6ab63e8",
    "tanh": "dc29108eb295d81c",
    "softmax_int16": "91cf2419c8ad9846",
    "leaky_relu_int16": "d93fbc508499cabd",
}
"""The beginning of the SHA-256 of each result of tflite-micro 0.dev20261023182759."""


def result(name: str, runtime: Runtime) -> np.ndarray:
    content, inputs = built(name)
    graph = import_tflite(content, "m", "m.tflite", match=runtime)
    return interpreter.run(graph, inputs)[graph.outputs[0]]


def digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", MODELS)
def test_bytes_of_the_wheel(name: str) -> None:
    assert digest(result(name, "tflm")) == WHEEL[name]
    assert digest(result(name, "litert")) != WHEEL[name], "a model that shows nothing"


def test_the_wheel_says_so() -> None:
    pytest.importorskip("tflite_micro", reason="the wheel tflite-micro isn't installed")
    assert {name: digest(tflm.run(*built(name))[0]) for name in MODELS} == WHEEL


def test_firmware(tmp_path: Path) -> None:
    content, inputs = built(*MODELS)
    path = tmp_path / "all.tflite"
    path.write_bytes(content)
    build = tinycompile.compile(path, target="host", match="tflm", output=tmp_path / "out")
    found = build.execute([value[None] for value in inputs]).outputs
    assert {name: digest(values[0]) for name, values in zip(MODELS, found, strict=True)} == WHEEL
    assert build.report["options"]["match"] == "tflm"
    assert "TFLM's bytes" in (build.folder / "report.html").read_text()
    samples = tmp_path / "x.npz"
    arrays: dict[str, Any] = {f"input_{i}": value[None] for i, value in enumerate(inputs)}
    np.savez(samples, **arrays)
    words = CliRunner().invoke(main, ["run", str(build.folder), "--input", str(samples)])
    assert words.output == "1 sample on this machine, with TFLM's bytes\n"
    shown = CliRunner().invoke(main, ["run", str(build.folder), "--input", str(samples), "--json"])
    assert json.loads(shown.stdout)["match"] == "tflm"


def test_what_tflm_garbles_is_refused() -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), dtype="float32"), b.tensor((1, 4), dtype="float32")
    w = b.constant(np.arange(8, dtype=np.int8).reshape(2, 4).T.copy(), [0.1, 0.2], axis=1)
    wide = b.tensor((4, 2), dtype="float32")
    b.op("DEQUANTIZE", [w], [wide])
    b.op("ADD", [x, x], [y], FusedActivationFunction=0)
    with pytest.raises(UnsupportedError, match="the scale of the first"):
        import_tflite(b.build([x], [y, wide]), "m", "m.tflite", match="tflm")


def test_comparisons_of_int16_are_refused() -> None:
    b = TfliteBuilder()
    x, z, y = b.tensor((1, 4), 0.1, dtype="int16"), b.tensor((1, 4), 0.1, dtype="int16"), b.tensor((1, 4), dtype="bool")
    b.op("GREATER", [x, z], [y])
    with pytest.raises(UnsupportedError, match="TFLM compares scaled"):
        import_tflite(b.build([x, z], [y]), "m", "m.tflite", match="tflm")


@pytest.mark.parametrize("kind", [{"scale": 0.1}, {"scale": 0.1, "zero_point": 7}, {"dtype": "float32"}])
def test_padding_that_tflm_leaves_to_chance_is_refused(kind: dict[str, Any]) -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 3, 3, 2), **kind), b.tensor((4, 2, 2, 2), **kind)
    block, padding = (b.constant(np.array(values, np.int32)) for values in ([2, 2], [[0, 1], [0, 1]]))
    b.op("SPACE_TO_BATCH_ND", [x, block, padding], [y])
    content = b.build([x], [y])
    assert import_tflite(content, "m", "m.tflite").nodes
    with pytest.raises(UnsupportedError, match="pads with a value that it never sets"):
        import_tflite(content, "m", "m.tflite", match="tflm")


def test_shapes_that_tflm_does_not_compute_are_refused() -> None:
    """A batch that was dynamic when the file was written is 1 in it, where two are computed."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 4, 2), 0.1), b.tensor((1, 2, 2), 0.1)
    b.tensors[x].signature, b.tensors[y].signature = [-1, 4, 2], [-1, 2, 2]
    b.op("SPACE_TO_BATCH_ND", [x, b.constant(np.array([2], np.int32)), b.constant(np.array([[0, 0]], np.int32))], [y])
    content = b.build([x], [y])
    assert import_tflite(content, "m", "m.tflite").nodes
    with pytest.raises(UnsupportedError, match=r"its result is int8\[2x2x2\]; the file, .* says \[1, 2, 2\], and TFLM"):
        import_tflite(content, "m", "m.tflite", match="tflm")


def test_an_onnx_file_has_no_runtime_to_match() -> None:
    with pytest.raises(UsageError, match=r"--match tflm is for \.tflite models"):
        load(DIGITS / "digits.onnx", match="tflm")
