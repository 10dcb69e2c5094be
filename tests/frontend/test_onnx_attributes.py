"""Every attribute, optional operand and result of every ONNX operator is read, or the model is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

import onnx
from onnx import helper
from onnxruntime.capi import onnxruntime_pybind11_state as native

from tests.frontend import attributes
from tests.frontend.attributes import (
    GOOD,
    MICROSOFT,
    RECIPES,
    WITHOUT_KERNEL,
    attempt,
    onnxruntime_results,
    schemas,
    trials,
    values,
)
from tests.support.onnx_builder import OnnxBuilder, imported
from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx import import_onnx
from tinycompile.frontend.onnx_registry import IMPORTERS
from tinycompile.frontend.onnx_schema import MICROSOFT_ATTRIBUTES, defaults, plain

GROUPS = 8


@pytest.mark.parametrize("group", range(GROUPS))
def test_another_value_is_followed_or_refused(group, tmp_path):
    wrong = dict[str, str]()
    for kind in sorted(RECIPES)[group::GROUPS]:
        results = {str(trial): attempt(trial, tmp_path / "trial.onnx") for trial in trials(kind, pairs=False)}
        assert "equal" in results.values() or kind in WITHOUT_KERNEL, kind
        wrong.update({trial: result for trial, result in results.items() if result not in GOOD})
    assert not wrong


def test_nothing_is_left_out():
    """A new importer needs a recipe, a new attribute another value."""
    assert attributes.kinds() == set(RECIPES)
    for kind in RECIPES:
        for names in schemas(kind).values():
            for name in names:
                assert values(kind, name), (kind, name)


def test_the_table_of_com_microsoft_is_onnxruntimes():
    found = {s.name: s for s in native.get_all_operator_schema() if s.domain == MICROSOFT and s.since_version == 1}
    for kind, table in MICROSOFT_ATTRIBUTES.items():
        assert set(table) == set(found[kind].attributes)
        for name, default in table.items():
            attribute = onnx.AttributeProto.FromString(found[kind].attributes[name]._default_value)
            documented = plain(helper.get_attribute_value(attribute)) if attribute.type else None
            assert documented == (pytest.approx(default) if isinstance(default, float) else default)


def test_an_importer_that_forgets_an_attribute(monkeypatch):
    """The kind: whatever nobody reads is named, without the importer's help."""
    monkeypatch.setitem(IMPORTERS, "Softmax", lambda scope: scope.set(scope.value()))
    b = OnnxBuilder()
    x = b.activation(b.input((1, 4, 4)), 0.1, 3)
    b.output(b.activation(b.node("Softmax", x, axis=1), 0.1, 0))
    with pytest.raises(UnsupportedError, match="the attribute axis = 1 is not supported"):
        imported(b.model())
    monkeypatch.setitem(IMPORTERS, "Softmax", lambda scope: scope.set(scope.value(), 0))
    b.nodes[2].attribute[0].i = defaults("Softmax", "", 17)["axis"]
    imported(b.model())
    b.nodes[2].attribute.append(helper.make_attribute("temperature", 2.0))
    with pytest.raises(UnsupportedError, match="the attribute temperature is unknown"):
        imported(b.model())


def test_an_importer_that_forgets_an_operand(monkeypatch):
    monkeypatch.setitem(IMPORTERS, "Clip", lambda scope: scope.set(scope.value()))
    b = OnnxBuilder()
    x = b.activation(b.input((1, 4)), 0.1, 3)
    b.output(b.activation(b.node("Clip", x, "", b.constant(0.5, np.float32)), 0.1, 0))
    with pytest.raises(UnsupportedError, match="operand 2"):
        imported(b.model())


def compared(b: OnnxBuilder, inputs: dict[str, np.ndarray], path: Path, step: float | None = None) -> list[np.ndarray]:
    """The outputs, which are onnxruntime's."""
    model = b.model()
    want = onnxruntime_results(model, inputs)
    assert want is not None
    path.write_bytes(model.SerializeToString())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = import_onnx(path, "test", floats="all")
    got = interpreter.run(graph, [inputs[v.name].reshape(graph.types[v.name].shape) for v in model.graph.input])
    assert attributes.compare([got[name] for name in graph.outputs], want, step) == "equal"
    return want


def test_output_dtype_without_a_zero_point(tmp_path):
    b = OnnxBuilder(21)
    q = b.node("QuantizeLinear", b.input((1, 200)), b.constant(0.05, np.float32), output_dtype=3)
    b.output(b.node("DequantizeLinear", q, b.constant(0.05, np.float32)), "float32")
    (y,) = compared(b, {"x": np.linspace(-7, 7, 200, dtype=np.float32)[None]}, tmp_path / "m.onnx", 0.05)
    assert y.min() < -6


@pytest.mark.parametrize("opset", [11, 12, 13])
@pytest.mark.parametrize("axis", [1, 2, 3, -3])
def test_qlinear_softmax_of_an_old_opset(opset, axis, tmp_path):
    b = OnnxBuilder(13)
    x = b.input((1, 5, 2, 3), "int8")
    parameters = (*b.parameters(0.1, 3, "int8"), *b.parameters(1 / 256, -128, "int8"))
    b.output(b.node("QLinearSoftmax", x, *parameters, domain=MICROSOFT, axis=axis, opset=opset), "int8")
    compared(b, {"x": np.random.default_rng(0).integers(-128, 128, (1, 5, 2, 3), np.int8)}, tmp_path / "m.onnx")


@pytest.mark.parametrize("alpha", [1.0, 0.37, 2.5])
def test_qgemm_with_alpha_and_a_bias(alpha, tmp_path):
    b, rng = OnnxBuilder(13), np.random.default_rng(1)
    x = b.input((1, 24), "int8")
    w = b.constant(rng.integers(-127, 128, (24, 7), np.int8))
    bias = b.constant(rng.integers(-20000, 20000, 7, np.int32))
    operands = (x, *b.parameters(0.1, 3, "int8"), w, *b.parameters(0.01, 0, "int8"), bias)
    b.output(b.node("QGemm", *operands, *b.parameters(0.21, -4, "int8"), domain=MICROSOFT, alpha=alpha), "int8")
    b.output(b.node("QGemm", *operands, domain=MICROSOFT, alpha=alpha))
    compared(b, {"x": rng.integers(-128, 128, (1, 24), np.int8)}, tmp_path / "m.onnx")


@pytest.mark.parametrize("shape", [(1, 5, 6, 3), (1, 6, 3)])
def test_channels_last(shape, tmp_path):
    b, rng = OnnxBuilder(13), np.random.default_rng(2)
    x = b.input(shape, "uint8")
    operands = (x, *b.parameters(0.1, 130, "uint8"), *b.parameters(0.0377, 120, "uint8"))
    b.output(b.node("QLinearGlobalAveragePool", *operands, domain=MICROSOFT, channels_last=1), "uint8")
    if len(shape) == 4:
        options = {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [1, 0, 0, 1]}
        b.output(b.node("QLinearAveragePool", *operands, domain=MICROSOFT, channels_last=1, **options), "uint8")
    compared(b, {"x": rng.integers(0, 256, shape, np.uint8)}, tmp_path / "m.onnx")


def test_a_missing_zero_point_has_the_type_of_the_operand():
    """QuantizeLinear's default would be uint8. (onnxruntime 1.31's shape inference stumbles over such a node.)"""
    b, rng = OnnxBuilder(13), np.random.default_rng(3)
    x, y = b.input((1, 30), "int8", "x"), b.input((1, 30), "int8", "y")
    scale = b.constant(0.1, np.float32)
    b.output(b.node("QLinearAdd", x, scale, "", y, scale, "", b.constant(0.17, np.float32), domain=MICROSOFT), "int8")
    graph, _ = imported(b.model())
    values = [rng.integers(-128, 128, (1, 30), np.int8) for _ in "xy"]
    got = interpreter.run(graph, values)[graph.outputs[0]]
    real = sum(v.astype(np.float32) * np.float32(0.1) for v in values)
    np.testing.assert_array_equal(got, np.clip(np.rint(real / np.float32(0.17)), -128, 127).astype(np.int8))


@pytest.mark.parametrize("opset", [10, 13, 19, 22])
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_a_window_that_begins_in_the_padding_is_left_out(opset, kind, tmp_path):
    """And what is behind it has the right shape. Weights that count on it below opset 22 onnxruntime itself refuses:
    its inference is onnx's.
    """
    b, rng = OnnxBuilder(opset), np.random.default_rng(4)
    options = {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [0, 0, 1, 1], "ceil_mode": 1}
    y = b.node(kind, b.input((1, 2, 13, 12)), **options)
    y = b.node("Flatten", b.node(kind, y, **options))
    b.output(b.node("MatMul", y, b.constant(rng.normal(size=(8, 3)), np.float32)) if opset >= 22 else y)
    imported(b.model(), floats="all")
    compared(b, {"x": rng.normal(size=(1, 2, 13, 12)).astype(np.float32)}, tmp_path / "m.onnx")


@pytest.mark.parametrize("opset", [19, 22])
def test_the_last_window_of_a_norm(opset, tmp_path):
    """What of it lies outside counts as 0, whether padding is named, asked for or only comes from `ceil_mode`."""
    b, x = OnnxBuilder(opset), np.random.default_rng(6).normal(size=(2, 3, 7, 8)).astype(np.float32)
    name = b.input(x.shape)
    for kernel, more in (
        ([2, 3], {"strides": [2, 2]}),
        ([2, 3], {"strides": [2, 3], "auto_pad": "VALID"}),
        ([3, 3], {"strides": [3, 2], "pads": [2, 0, 0, 1]}),
        ([2, 2], {"strides": [2, 3], "dilations": [2, 3]}),
        ([3, 2], {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    ):
        for ceil in (0, 1):
            b.output(b.node("LpPool", name, kernel_shape=kernel, p=1 + ceil, ceil_mode=ceil, **more))
    compared(b, {name: x}, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "mode", ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners"]
)
def test_the_nearest_of_two_neighbours(mode, tmp_path):
    """Sizes and scales whose coordinates come within rounding of whole ones and of halves."""
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        b, inputs = OnnxBuilder(19), dict[str, np.ndarray]()
        cases = [(38, 4.4), (26, 3.3), (34, 1.3), (12, 3.8), (34, 3.9), (22, 3.9), (6, 2.3), (50, 0.6), (31, 0.7)]
        for size, scale in cases:
            name = b.input((1, size), name=f"x{size}_{int(scale * 10)}")
            inputs[name] = np.arange(size, dtype=np.float32)[None]
            options = {"coordinate_transformation_mode": mode, "nearest_mode": rounding}
            b.output(b.node("Resize", name, "", b.constant([1, scale], np.float32), **options))
        compared(b, inputs, tmp_path / "m.onnx")


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_scale_that_changes_no_size(mode, tmp_path):
    b = OnnxBuilder(19)
    scales = b.constant([1, 1, 1.07, 1.1], np.float32)
    b.output(b.node("Resize", b.input((1, 2, 6, 5)), "", scales, mode=mode, nearest_mode="ceil"))
    compared(b, {"x": np.random.default_rng(5).normal(size=(1, 2, 6, 5)).astype(np.float32)}, tmp_path / "m.onnx")


def test_a_second_result():
    """That nobody reads is no problem; else it is named."""
    b = OnnxBuilder()
    x = b.activation(b.input((1, 2, 4, 4)), 0.1, 3)
    b.output(b.activation(b.node("MaxPool", x, outputs=2, kernel_shape=[2, 2]), 0.1, 0))
    imported(b.model())
    b.output(b.nodes[2].output[1], "int64")
    with pytest.raises(UnsupportedError, match="result 1"):
        imported(b.model())


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_same_padding_with_dilations_is_refused(kind):
    b = OnnxBuilder(19)
    b.output(b.node(kind, b.input((1, 2, 9, 9)), kernel_shape=[3, 3], dilations=[2, 1], auto_pad="SAME_UPPER"))
    with pytest.raises(UnsupportedError, match="auto_pad SAME with dilations"):
        imported(b.model(), floats="all")
