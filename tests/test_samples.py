"""Sample files: one file serves calibration, `run` and `verify` alike, and a message's advice is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import tinycompile
from tinycompile.dtypes import FLOAT32, INT8, UINT8
from tinycompile.errors import SamplesError
from tinycompile.frontend.onnx_file import static_model
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.quantize.calibration import load_samples
from tinycompile.samples import load_arrays, model_inputs

A, B = np.full((3, 2), 1, np.float32), np.full((3, 2), 2, np.float32)
TYPES = [TensorType((1, 2), FLOAT32)] * 2


def two_inputs(first: str, second: str) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in (first, second, "sum")]
    graph = helper.make_graph([helper.make_node("Add", [first, second], ["sum"])], "g", values[:2], values[2:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_another_shape_is_said_before_another_type() -> None:
    """Else somebody converts the samples of another model."""
    types = [TensorType((1, 2), INT8, Quantization.per_tensor(0.5, 0))]
    with pytest.raises(SamplesError, match=r"has shape \(3, 4\), the model takes \(samples, 2\)"):
        model_inputs({"input_0": np.ones((3, 4), np.float32)}, types, where="s.npz")


@pytest.mark.parametrize("names", [("left", "right"), ("input_1", "input_2"), ("input_1", "input_0")])
def test_calibration_and_running_take_the_same_arrays(names: tuple[str, str], tmp_path: Path) -> None:
    """Named as the model's inputs or by number; by name where both fit, and never one array for two inputs."""
    model = static_model(two_inputs(*names), "sum")
    for keys in (names, ("input_0", "input_1")):
        arrays = dict(zip(keys, (A, B), strict=True))
        np.savez(tmp_path / "samples.npz", **arrays)  # type: ignore[arg-type]
        wanted = (arrays[names[0]], arrays[names[1]]) if set(names) == set(keys) else (A, B)
        samples, _ = load_samples(tmp_path / "samples.npz", model)
        running = model_inputs(arrays, TYPES, where="here", names=names)
        for index, array in enumerate(wanted):
            np.testing.assert_array_equal(samples[0][names[index]], array[:1], err_msg=str(keys))
            np.testing.assert_array_equal(running[index], array.reshape(3, 1, 2), err_msg=str(keys))


@pytest.mark.parametrize("arrays", [{"left": A}, {"input_0": A}, {"other": A}, {"left": A, "input_1": B}])
def test_missing_inputs_are_named(arrays: dict[str, Array], tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", **arrays)  # type: ignore[arg-type]
    missing = r"right is missing|input_1 is missing|input_0, input_1 are missing"
    with pytest.raises(SamplesError, match=missing) as running:
        model_inputs(arrays, TYPES, where="here", names=("left", "right"))
    with pytest.raises(SamplesError, match=missing):
        load_samples(tmp_path / "samples.npz", static_model(two_inputs("left", "right"), "sum"))
    assert "input_0, input_1, or as the model names its inputs: left, right" in str(running.value)


def test_inputs_that_share_a_name_go_by_number() -> None:
    """In a .tflite file names needn't be unique."""
    taken = model_inputs({"x": A, "input_0": A, "input_1": B}, TYPES, where="here", names=("x", "x"))
    assert [array.flat[0] for array in taken] == [1, 2]


def test_a_build_takes_the_file_that_calibrated_it(tmp_path: Path) -> None:
    onnx.save(two_inputs("left", "right"), tmp_path / "sum.onnx")
    np.savez(tmp_path / "calib.npz", right=B, left=A)
    options = {"target": "host", "output": tmp_path / "out", "calib_method": "minmax"}
    build = tinycompile.compile(tmp_path / "sum.onnx", calib=tmp_path / "calib.npz", **options)
    assert [array.flat[0] for array in build.samples(tmp_path / "calib.npz")] == [1, 2]
    build.inputs = [TensorType(t.shape, INT8, Quantization.per_tensor(0.5, 3)) for t in build.inputs]  # --io int8
    assert [array.flat[0] for array in build.samples(tmp_path / "calib.npz")] == [5, 7], "real numbers, as for verify"


INTEGERS = TensorType((1, 3, 4, 5), INT8, Quantization.per_tensor(0.25, -3))
UNSIGNED = TensorType((1, 6), UINT8, Quantization.per_tensor(0.5, 7))
FLOAT = TensorType((1, 6), FLOAT32)
REAL = np.random.default_rng(1).normal(0, 20, (7, 60))


@pytest.mark.parametrize(
    ("array", "wanted", "value"),
    [
        (REAL.reshape(7, 3, 4, 5).astype(np.float32), INTEGERS, lambda a: np.clip(np.round(a / 0.25) - 3, -128, 127)),
        (np.arange(60, dtype=np.int64).reshape(1, 3, 4, 5), INTEGERS, lambda a: a),
        (REAL[:, :6], UNSIGNED, lambda a: np.clip(np.round(a / 0.5) + 7, 0, 255)),
        (REAL[:, :6], FLOAT, lambda a: a.astype(np.float32)),
        (np.zeros((7, 4, 5, 3), np.int8), INTEGERS, lambda a: np.moveaxis(a, -1, 1)),
        (np.zeros((7, 60), np.int8), INTEGERS, lambda a: a.reshape(7, 3, 4, 5)),
        (np.zeros((7, 6, 1), np.uint8), UNSIGNED, lambda a: a.reshape(7, 6)),
        (np.zeros((7, 3, 4), np.int8), TensorType((1, 4, 3), INT8), lambda a: np.moveaxis(a, 1, -1)),
    ],
)
def test_the_advice_makes_samples_that_are_taken(
    array: Array, wanted: TensorType, value: Callable[[Array], Array]
) -> None:
    with pytest.raises(SamplesError) as refused:
        model_inputs({"input_0": array}, [wanted], where="here")
    advised = eval(refused.value.hint.split("`")[1], {"numpy": np, "array": array})  # noqa: S307 - the advice is Python
    (taken,) = model_inputs({"input_0": advised}, [wanted], where="here")
    np.testing.assert_array_equal(taken.reshape(advised.shape), value(array))


@pytest.mark.parametrize("shape", [(7, 4, 3, 5), (7, 3, 4, 6), (7, 61), (3,)])
def test_no_advice_that_would_mix_axes_up(shape: tuple[int, ...]) -> None:
    with pytest.raises(SamplesError, match=r"the model takes \(samples, 3, 4, 5\)") as refused:
        model_inputs({"input_0": np.zeros(shape, np.int8)}, [INTEGERS], where="here")
    assert refused.value.hint == ""


def test_what_a_file_lacks_is_said(tmp_path: Path) -> None:
    """A single sample that is flat, no samples, a file that is none, and files beside one that isn't there."""
    t, where = TensorType((1, 4, 2), INT8), "x.npz"
    for array, message in (
        (np.zeros(8, np.int8), r"`array.reshape\(1, 4, 2\)`, if it is a single sample"),
        (np.zeros((0, 4, 2), np.int8), r"at least one\n  why: input_0 0"),
    ):
        with pytest.raises(SamplesError, match=message):
            model_inputs({"input_0": array}, [t], where=where)
    (tmp_path / "text.npz").write_text("text")
    ragged = np.array([[1], [2, 3]], object)
    np.savez(tmp_path / "rows.npz", x=np.zeros(3), lengths=ragged)
    np.save(tmp_path / "rows.npy", ragged)
    for name, message in (
        ("text.npz", "neither .npz nor .npy"),
        ("rows.npz", "lengths holds Python objects, not numbers"),
        ("rows.npy", "rows.npy holds Python objects"),
        ("tset.npz", "in that folder are: rows.npy, rows.npz, text.npz"),
    ):
        with pytest.raises(SamplesError, match=message):
            load_arrays(tmp_path / name)
