"""What the importer makes of well-formed files."""

from __future__ import annotations

import numpy as np
import pytest
import tflite

from tests.frontend.models import BIAS, CONV, SUM, W, X, Y, imported, small_model
from tests.ops.oracle import check_model
from tests.support.tflite_builder import RELU, RELU6, RELU_N1_TO_1
from tinycompile import interpreter
from tinycompile.dtypes import INT8
from tinycompile.errors import ModelFileError, SamplesError
from tinycompile.frontend import load
from tinycompile.frontend.tflite import import_tflite
from tinycompile.frontend.tflite_activations import clamp_range
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Quantization, TensorType, verify
from tinycompile.ops._spatial import same_padding


def test_names_and_sources():
    graph = imported(small_model())
    verify(graph)
    assert (graph.inputs, graph.outputs) == (("x",), ("y",))
    assert [(node.name, node.op.kind) for node in graph.nodes] == [
        ("conv", "conv2d"),
        ("sum", "add"),
        ("y", "dequantize"),
    ]
    assert {name: source.index for name, source in graph.sources.items()} == {
        "x": X, "w": W, "bias": BIAS, "conv": CONV, "sum": SUM, "y": Y,
    }  # fmt: skip
    assert set(graph.constants) == {"w", "bias"}


def test_duplicate_and_empty_names_become_unique():
    b = small_model()
    for index in (CONV, SUM):
        b.tensors[index].name = "x"
    b.tensors[W].name = ""
    graph = imported(b)
    verify(graph)
    assert len(graph.types) == 6
    assert "tensor_1" in graph.types


def test_the_deprecated_byte_holds_the_code_in_old_files():
    """The new field is 0 there, which would mean ADD."""
    model = bytearray(small_model().build([X], [Y]))
    file = tflite.Model.GetRootAsModel(model, 0)
    for index in range(file.OperatorCodesLength()):
        table = file.OperatorCodes(index)._tab
        if offset := table.Offset(10):
            model[table.Pos + offset : table.Pos + offset + 4] = bytes(4)
    kinds = [node.op.kind for node in import_tflite(bytes(model), "old", "old.tflite").nodes]
    assert kinds == ["conv2d", "add", "dequantize"]


def test_a_file_without_options_means_their_defaults():
    b = small_model()
    b.ops[1].options = None
    x = np.random.default_rng(0).integers(-128, 128, (1, 4, 4, 2)).astype(np.int8)
    check_model(b.build([X], [Y]), [x])


def test_a_weight_scale_of_zero():
    """Old converters write it for channels of zeros."""
    b = small_model()
    b.tensors[W].scale = [0.1, 0.0]
    x = np.random.default_rng(0).integers(-128, 128, (1, 4, 4, 2)).astype(np.int8)
    check_model(b.build([X], [Y]), [x])


def test_several_inputs_and_outputs():
    b = small_model()
    other = b.tensor((1, 4, 4, 2), 0.5, 3, name="other")
    b.ops[1].inputs = [other, CONV]
    graph = imported(b, (other, X), (Y, CONV))
    assert (graph.inputs, graph.outputs) == (("other", "x"), ("y", "conv"))


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "expected"),
    [
        (RELU, 0.1, -128, (-128, 127)),
        (RELU, 0.1, 5, (5, 127)),
        (RELU6, 0.1, -20, (-20, 40)),
        (RELU6, 0.01, 0, (0, 127)),
        (RELU6, 12.0, 0, (0, 1)),  # 0.5 goes away from zero
        (RELU_N1_TO_1, 0.1, 0, (-10, 10)),
        (RELU_N1_TO_1, 2.0, 0, (-1, 1)),
        (RELU_N1_TO_1, 1e-8, 127, (-128, 127)),
    ],
)
def test_activation_ranges(activation, scale, zero_point, expected):
    quant = Quantization.per_tensor(scale, zero_point)
    assert clamp_range(activation, TensorType((1,), INT8, quant)) == expected


@pytest.mark.parametrize(("activation", "scale"), [(RELU6, 1e-9), (RELU_N1_TO_1, 4e-10), (RELU_N1_TO_1, 1e-30)])
def test_activation_bounds_beyond_int32_are_refused(activation, scale):
    """LiteRT: no_integer_overflow_from_quantization."""
    with pytest.raises(Rejected, match="bounds leave int32"):
        clamp_range(activation, TensorType((1,), INT8, Quantization.per_tensor(scale, 0)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((5, 3, 1, 1), (1, 1)),
        ((6, 3, 2, 1), (0, 1)),
        ((5, 3, 2, 2), (2, 2)),
        ((4, 1, 3, 1), (0, 0)),
        ((1, 5, 3, 1), (2, 2)),
    ],
)
def test_same_padding(arguments, expected):
    assert same_padding(*arguments) == expected


def test_load_reads_the_content_and_takes_the_name_from_the_file(tmp_path):
    path = tmp_path / "my model.tflite"
    path.write_bytes(small_model().build([X], [Y]))
    assert load(path).name == "my model"
    assert load(str(path)).name == "my model"


@pytest.mark.parametrize("name", ["missing.tflite", "", "directory", "bad\0name"])
def test_load_of_what_is_no_file(tmp_path, name):
    (tmp_path / "directory").mkdir()
    with pytest.raises(ModelFileError, match=r"no such file|a folder"):
        load(tmp_path / name)


def test_load_of_onnx(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"whatever")
    with pytest.raises(ModelFileError, match="ONNX"):
        load(path)


def test_interpreter_checks_its_inputs():
    graph = imported(small_model())
    x = np.zeros((1, 4, 4, 2), np.int8)
    assert set(interpreter.run(graph, {"x": x})) == set(graph.types)
    for wrong in ({}, [x.astype(np.float32)], [x[0]]):
        with pytest.raises(SamplesError, match="'x'"):
            interpreter.run(graph, wrong)
