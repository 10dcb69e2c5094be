"""Float models with weights of few bits: which layers get them, what the files say, and what the network loses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from tinycompile.cli import main
from tinycompile.dtypes import FLOAT32
from tinycompile.errors import UsageError
from tinycompile.frontend import load
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.quantize import Quantized, quantize
from tinycompile.quantize.execution import session_of

INT8, INT4, INT2 = onnx.TensorProto.INT8, onnx.TensorProto.INT4, onnx.TensorProto.INT2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float network, two convolutions (one depthwise), a pointwise one and a matrix, of opset 17; and samples."""
    path, rng = tmp_path_factory.mktemp("weight_bits"), np.random.default_rng(5)
    shapes = {"full": (12, 3, 3, 3), "depthwise": (12, 1, 3, 3), "pointwise": (16, 12, 1, 1), "dense": (16, 8)}
    constants = {name: rng.normal(0, 1 / np.sqrt(np.prod(s[1:]) or 1), s) for name, s in shapes.items()}
    constants["dense"] /= 4
    nodes = [
        helper.make_node("Conv", ["x", "full"], ["a"], "first", pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "depthwise"], ["c"], "second", pads=[1] * 4, group=12),
        helper.make_node("Conv", ["c", "pointwise"], ["d"], "third"),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node("MatMul", ["g", "dense"], ["y"], "last"),
    ]
    inputs, outputs = ([helper.make_tensor_value_info(n, 1, s)] for n, s in (("x", [1, 3, 8, 8]), ("y", [1, 8])))
    initializers = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path / "net.onnx")
    x = rng.normal(size=(48, 1, 3, 8, 8)) + rng.normal(size=(48, 1, 3, 1, 1))
    np.savez(path / "calib.npz", x=x.astype(np.float32))
    return path


def quantized(folder: Path, **options: Any) -> Quantized:
    return quantize(folder / "net.onnx", folder / "calib.npz", method="minmax", **options)


def types_of(found: Quantized) -> list[int]:
    """Of the weights of each layer."""
    known = {i.name: i for i in found.proto.graph.initializer}
    readers = [node for node in found.proto.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    made = {node.output[0]: node for node in found.proto.graph.node}
    return [known[made[node.input[1]].input[0]].data_type for node in readers]


@pytest.mark.parametrize(
    ("bits", "types", "opset"),
    [
        (8, [INT8] * 4, 17),
        (4, [INT4, INT8, INT4, INT4], 21),
        (3, [INT4, INT8, INT4, INT4], 21),
        (2, [INT2, INT8, INT2, INT2], 25),
        ({"second": 4, "d": 2}, [INT8, INT4, INT2, INT8], 25),
    ],
)
def test_layers_have_the_bits_that_were_asked_for(folder: Path, bits: Any, types: list[int], opset: int) -> None:
    found = quantized(folder, weight_bits=bits, weight_method="nearest")
    assert types_of(found) == types and found.proto.opset_import[0].version == opset
    onnx.checker.check_model(found.proto)
    x = np.load(folder / "calib.npz")["x"][0]
    # Unoptimised: onnxruntime 1.31 makes a QLinearConv of INT2 weights, and then refuses it.
    (y,) = session_of(found.proto).run(None, {"x": x})
    assert np.any(y)


def test_three_bits_are_small_numbers_of_four(folder: Path) -> None:
    found = quantized(folder, weight_bits=3, weight_method="learned")
    codes = [numpy_helper.to_array(i).astype(int) for i in found.proto.graph.initializer if i.data_type == INT4]
    assert {int(each.min()) for each in codes} == {-4, 0} and max(int(each.max()) for each in codes) == 3


def test_better_methods_lose_less_and_auto_takes_them(folder: Path) -> None:
    found = {name: quantized(folder, weight_bits=3, weight_method=name) for name in ("nearest", "learned", "auto")}
    assert found["learned"].sqnr > found["nearest"].sqnr + 2
    assert found["auto"].sqnr > found["learned"].sqnr - 0.5
    assert "3 with 3 bits" in found["auto"].lines()[0]


def test_groups_have_scales_of_their_own_where_windows_are_pixels(folder: Path) -> None:
    found = quantized(folder, weight_bits=4, group=8, weight_method="learned")
    blocks = {
        node.output[0]: [attribute.i for attribute in node.attribute if attribute.name == "block_size"]
        for node in found.proto.graph.node
        if node.op_type == "DequantizeLinear" and node.output[0].endswith("_weights")
    }
    assert blocks == {"a_weights": [], "c_weights": [], "d_weights": [8], "y_weights": [8]}
    assert found.sqnr > quantized(folder, weight_bits=4, weight_method="learned").sqnr - 1
    onnx.checker.check_model(found.proto)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weight_bits": 5}, "--weight-bits 5 is unknown.*8, 4, 3, 2"),
        ({"weight_bits": {"nowhere": 4}}, "'nowhere', which isn't a layer.*layers: a, c, d, y"),
        ({"weight_bits": 4, "group": 1}, "--group 1 is too small"),
        ({"weight_bits": 4, "weight_method": "magic"}, "--method 'magic' is unknown.*auto, nearest, awq, learned"),
    ],
)
def test_what_is_refused(folder: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        quantized(folder, **options)
    assert re.search(text, str(error.value), re.DOTALL)


def test_samples_are_needed(folder: Path) -> None:
    with pytest.raises(UsageError, match="--weight-bits needs --calib"):
        quantize(folder / "net.onnx", None, weight_bits=4)


def test_tflite_files_have_int4_where_its_kernels_take_it(folder: Path) -> None:
    """LiteRT runs the file, and its outputs are what the SQNR is measured with."""
    found = quantized(folder, weight_bits={"first": 4, "second": 4, "third": 2, "last": 3}, form="tflite")
    assert found.tflite is not None and found.sqnr > 15
    subgraph = tflite.Model.GetRootAsModel(found.tflite, 0).Subgraphs(0)
    tensors = [subgraph.Tensors(at) for at in range(subgraph.TensorsLength())]
    packed = [each.ShapeAsNumpy().tolist() for each in tensors if each.Type() == tflite.TensorType.INT4]
    assert sorted(packed) == sorted([[12, 3, 3, 3], [1, 3, 3, 12], [16, 1, 1, 12], [8, 16]])
    with pytest.raises(UsageError, match=r"--group is for \.onnx"):
        quantized(folder, weight_bits=4, group=16, form="tflite")


def test_the_command_takes_bits_by_layer(folder: Path) -> None:
    command = ["quantize", str(folder / "net.onnx"), "--calib", str(folder / "calib.npz"), "--method", "nearest"]
    command += ["--calib-method", "minmax", "-o", str(folder / "out.onnx")]
    done = CliRunner().invoke(main, [*command, "--weight-bits", "third=4", "--weight-bits", "last=3"])
    assert done.exit_code == 0, done.output
    assert "1 with 3 bits nearest, 1 with 4 bits nearest" in done.output
    known = {i.name: i.data_type for i in onnx.load(folder / "out.onnx").graph.initializer}
    assert known["d_weights_quantized"] == known["y_weights_quantized"] == INT4
    both = CliRunner().invoke(main, [*command, "--weight-bits", "third=4", "--weight-bits", "2"])
    assert both.exit_code and "both bits for all layers and bits of single ones" in both.output


PRODUCTS: dict[str, tuple[tuple[int, ...], tuple[int, ...], bool, list[str]]] = {
    "one matrix": ((1, 3, 16), (1, 16, 7), False, ["fully_connected"]),
    "several matrices": ((1, 3, 5, 16), (3, 16, 7), False, ["batch_matmul"]),
    "in front": ((1, 8, 5), (8, 8), True, ["batch_matmul"]),
    "several in front": ((1, 3, 16), (1, 16, 3), True, ["batch_matmul"]),
    "a vector": ((1, 8, 5), (5,), False, ["batch_matmul"]),
}
"""Shapes of an operand and a constant, whether the constant is the first, the IR's products."""


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("samples", [1, 12])
def test_products_with_constants_of_any_rank(product: str, samples: int, tmp_path: Path) -> None:
    """Only a matrix behind the operand has few bits; all others are operands of 8 bits, and none are floats."""
    shape, sizes, first, kinds = PRODUCTS[product]
    rng = np.random.default_rng(3)
    inputs = [helper.make_tensor_value_info("x", 1, shape)]
    constant = numpy_helper.from_array(rng.normal(0, 1, sizes).astype(np.float32), "w")
    node = helper.make_node("MatMul", ["w", "x"] if first else ["x", "w"], ["y"], "product")
    net = helper.make_graph([node], "net", inputs, [helper.make_tensor_value_info("y", 1, None)], [constant])
    onnx.save(helper.make_model(net, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "net.onnx")
    np.savez(tmp_path / "calib.npz", x=rng.normal(0, 1, (samples, *shape)).astype(np.float32))
    found = quantized(tmp_path, weight_bits=4, weight_method="nearest")
    types = {i.data_type for i in found.proto.graph.initializer if i.name.startswith("y_")}
    assert (INT4 in types) == (product == "one matrix")
    onnx.save(found.proto, tmp_path / "out.onnx")
    graph = load(tmp_path / "out.onnx")
    made = [node.op.kind for node in graph.nodes]
    assert [kind for kind in made if kind in ("fully_connected", "batch_matmul")] == kinds
    floats = [node.op.kind for node in graph.nodes if graph.types[node.outputs[0]].dtype == FLOAT32]
    assert floats == ["dequantize"]


def test_one_sample_is_enough_to_choose_a_method(folder: Path, tmp_path: Path) -> None:
    """None is kept back then, in convolutions as in matrices."""
    np.savez(tmp_path / "one.npz", x=np.load(folder / "calib.npz")["x"][:1])
    found = quantize(folder / "net.onnx", tmp_path / "one.npz", method="minmax", weight_bits=4)
    assert types_of(found) == [INT4, INT8, INT4, INT4]
