"""Model outputs that are something else as well: an input, a constant, another output; alone and beside real work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.litert import Oracle
from tests.support.random_model import RandomModel
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.errors import UsageError
from tinycompile.verify.compare import verify_build

pytest.importorskip("ai_edge_litert", reason="needs LiteRT")

ROLES = ["x", "c", "xy", "yc", "yy", "ry", "wxw", "ccxxyyfr"]
"""The outputs: x input, w another input, which nothing reads, c constant, f folded to one, y computed, r the same seen
in another shape."""


def _model(outputs: str, dtype: str = "int8") -> bytes:
    b = TfliteBuilder()
    quant = {} if dtype not in ("int8", "uint8") else {"scale": 0.5, "zero_point": 3}
    x, w = b.tensor((1, 5, 3), 0.5, 3, name="x"), b.tensor((1, 7), dtype=dtype, name="w", **quant)
    y, r = b.tensor((1, 5, 3), 0.25, -7, name="y"), b.tensor((1, 15), 0.25, -7, name="r")
    c = b.constant(np.arange(-3, 8).reshape(1, 11).astype(dtype), name="c", **quant)
    f = b.tensor((11, 1), dtype=dtype, name="f", **quant)
    b.op("RELU", [x], [y])
    b.op("RESHAPE", [y, b.constant(np.array([1, 15], np.int32))], [r])
    b.op("RESHAPE", [c, b.constant(np.array([11, 1], np.int32))], [f])
    places = {"x": x, "w": w, "y": y, "r": r, "c": c, "f": f}
    if "e" in outputs:
        places["e"] = b.constant(np.zeros(0, np.int32))
    return b.build([x, w], [places[name] for name in outputs])


def _samples(dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(-128, 128, (3, 1, 5, 3)).astype(np.int8), rng.integers(0, 100, (3, 1, 7)).astype(dtype)]


def _check(model: Path, content: bytes, samples: list[np.ndarray], on: tuple[str, ...], target: str) -> None:
    model.write_bytes(content)
    oracle = Oracle(content)
    wanted = [detail["index"] for detail in oracle.interpreter.get_output_details()]
    expected = [oracle.run([array[i] for array in samples]) for i in range(len(samples[0]))]
    build = tinycompile.compile(model, target=target, output=model.with_suffix(""))
    assert len(build.outputs) == len(wanted)
    for place in on:
        got = build.run(*samples, on=place)
        for index, array in zip(wanted, got if isinstance(got, list) else [got], strict=True):
            empty = np.zeros((len(expected), 0), np.int32)  # what LiteRT can't be asked for
            reference = np.stack([tensors[index] for tensors in expected]) if index in expected[0] else empty
            np.testing.assert_array_equal(array.reshape(reference.shape), reference, err_msg=f"tensor {index}")
    outcome = verify_build(build, samples)
    assert outcome.difference is None, outcome.difference.describe()


@pytest.mark.parametrize("outputs", ROLES)
def test_on_the_host(outputs: str, tmp_path: Path) -> None:
    _check(tmp_path / "m.tflite", _model(outputs), _samples("int8"), ("host",), "host")


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int32", "int64"])
def test_every_type(dtype: str, tmp_path: Path) -> None:
    _check(tmp_path / "m.tflite", _model("wcyfw", dtype), _samples(dtype), ("host",), "host")


def test_in_qemu(tmp_path: Path) -> None:
    _check(tmp_path / "m.tflite", _model("ccxxyyferw", "float32"), _samples("float32"), ("host", "qemu"), "stm32f746")


def test_without_any_operator(tmp_path: Path) -> None:
    b = TfliteBuilder()
    x = b.tensor((1, 5), 0.5, 3)
    samples = [np.arange(10, dtype=np.int8).reshape(2, 1, 5)]
    _check(tmp_path / "m.tflite", b.build([x], [x]), samples, ("host", "qemu"), "mps2-an386")


def test_with_separate_weights_and_rows(tmp_path: Path) -> None:
    """A copy in the midst of layers that run row by row; a constant out of the weights' file."""
    b = RandomModel(3)
    _, shape = b.build(layers=5)
    inner = b.builder.ops[2].outputs[0]
    constant = b.builder.constant(np.arange(6, dtype=np.int8), 0.5)
    path = tmp_path / "m.tflite"
    path.write_bytes(b.builder.build([0], [len(b.builder.tensors) - 2, inner, inner, constant]))
    build = tinycompile.compile(path, target="mps2-an386", schedule="stream", weights="separate")
    assert build.report["stages"]
    samples = [np.random.default_rng(0).integers(-128, 128, (2, *shape)).astype(np.int8)]
    assert verify_build(build, samples).difference is None


def test_an_input_in_rows_is_never_there_to_be_copied(tmp_path: Path) -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 8, 8, 3), 0.5, 3, name="image"), b.tensor((1, 8, 8, 3), 0.5, 3)
    b.op("RELU", [x], [y])
    path = tmp_path / "m.tflite"
    path.write_bytes(b.build([x], [y, x]))
    with pytest.raises(UsageError, match="an output as well"):
        tinycompile.compile(path, target="mps2-an386", input_stream="rows")


def test_int8_io_of_an_output_listed_twice(tmp_path: Path) -> None:
    b = TfliteBuilder()
    x, q = b.tensor((1, 5), dtype="float32"), b.tensor((1, 5), 0.5, 3)
    r, y = b.tensor((1, 5), 0.25, 3), b.tensor((1, 5), dtype="float32")
    b.op("QUANTIZE", [x], [q])
    b.op("RELU", [q], [r])
    b.op("DEQUANTIZE", [r], [y])
    path = tmp_path / "m.tflite"
    path.write_bytes(b.build([x], [y, y]))
    build = tinycompile.compile(path, target="host", io="int8")
    samples = np.arange(-128, 127, 3, dtype=np.int8)[:85].reshape(17, 1, 5)
    first, second = build.run(samples)
    assert first.dtype == np.int8
    np.testing.assert_array_equal(first, second)
    assert verify_build(build, [samples]).difference is None
