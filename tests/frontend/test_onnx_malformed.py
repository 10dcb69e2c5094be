"""ONNX files that are broken or not for us: always one of our errors, and everything unsupported at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.support.onnx_builder import OnnxBuilder, check_model, imported
from tinycompile.errors import ModelFileError, TinycompileError, UnsupportedError, UsageError
from tinycompile.frontend import load
from tinycompile.frontend.onnx_file import read_proto, static_model
from tinycompile.frontend.onnx_shapes import inferred


def quantised(shape=(1, 4), tail=None, opset=17) -> OnnxBuilder:
    b = OnnxBuilder(opset)
    x = b.activation(b.input(shape), 0.1, 3)
    b.output(b.activation(tail(b, x) if tail else b.node("Relu", x), 0.1, 0))
    return b


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("content", [b"", b"\x08", b"hello", b"\xff" * 100, b"PK\x03\x04"])
def test_no_model(content, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        load(path)


@pytest.mark.parametrize("field", ["domain", "node", "value", "operator", "note"])
def test_texts_are_utf8(field, tmp_path):
    """Where they have a meaning; protobuf's own check lets them through."""
    mark, model = "marked", quantised().model()
    if field == "domain":
        model.opset_import.append(helper.make_opsetid(mark, 1))
    elif field == "note":
        model.doc_string = mark
    else:
        node = model.graph.node[0]
        {"node": lambda: setattr(node, "name", mark), "operator": lambda: setattr(node, "op_type", mark)}.get(
            field, lambda: node.input.__setitem__(0, mark)
        )()
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString().replace(mark.encode(), b"m\xff" + mark[2:].encode()))
    if field == "note":
        assert load(path).nodes
        return
    with pytest.raises(ModelFileError, match="no UTF-8"):
        load(path)


def test_a_constant_of_no_type_beside_sizes_that_are_computed(tmp_path):
    def tail(b: OnnxBuilder, x: str) -> str:
        return b.node("Reshape", x, b.node("Abs", b.constant([2, 2], np.int64)))

    model = quantised(tail=tail).model()
    assert load(saved(model, tmp_path)).nodes
    model.graph.initializer.add(name="odd", data_type=255, dims=[1], raw_data=b"0000")
    shapes = [v.type.tensor_type.shape.dim for v in inferred(model).graph.value_info]
    assert [2, 2] in [[n.dim_value for n in shape] for shape in shapes]
    with pytest.raises(ModelFileError):
        load(saved(model, tmp_path))


def test_every_truncation_is_an_error(tmp_path):
    content, path = quantised().model().SerializeToString(), tmp_path / "model.onnx"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(TinycompileError):
            load(path)


@pytest.mark.parametrize("seed", range(6))
def test_random_damage_is_an_error_or_a_sound_graph(seed, tmp_path):
    content, rng, path = quantised().model().SerializeToString(), np.random.default_rng(seed), tmp_path / "m.onnx"
    for _ in range(60):
        damaged = np.frombuffer(content, np.uint8).copy()
        places = rng.integers(0, damaged.size, rng.integers(1, 4))
        damaged[places] = rng.integers(0, 256, places.size)
        path.write_bytes(damaged.tobytes())
        try:
            load(path)
        except TinycompileError:
            continue


def test_everything_unsupported_is_reported_at_once(tmp_path):
    b = OnnxBuilder()
    x = b.activation(b.input((1, 4, 4, 4)), 0.1, 3)
    first = b.node("LRN", x, size=3)
    second = b.node("Det", x)
    third = b.node("Conv", x, b.weights(np.ones((2, 4, 1, 1), np.int8), [0.1, 0.1, 0.1, 0.1], [0] * 4, axis=1))
    for y in (first, second, third):
        b.output(b.quantize(y, 0.1, 0), "int8")
    with pytest.raises(UnsupportedError) as caught:
        load(saved(b.model(), tmp_path), floats="none")
    names = [name for name, _ in caught.value.problems]
    assert [name.split()[0] for name in names] == ["LRN", "Det", "Conv"]
    assert all("(node" in name for name in names)
    assert "along axis 1" in caught.value.problems[2][1]


CASES = {
    "LSTM": (lambda b, x: b.node("CumSum", x, b.constant(0, np.int64)), "not supported"),
    "float weights": (lambda b, x: b.node("MatMul", x, b.constant(np.ones((4, 2)), np.float32)), "floats"),
    "float bias": (lambda b, x: b.node("Gemm", x, x, b.constant([1, 2], np.float32), transB=1), "run time"),
    "float in between": (lambda b, x: b.node("Softmax", b.node("Exp", x)), "float32 arithmetic"),
    "scale": (lambda b, x: b.node("MatMul", x, b.weights(np.ones((4, 2), np.int8), 0.0, 0)), "not positive"),
}


@pytest.mark.parametrize("case", CASES)
def test_unsupported(case):
    tail, message = CASES[case]
    with pytest.raises(UnsupportedError, match=message):
        imported(quantised(tail=tail).model())


def test_per_channel_activations():
    b = OnnxBuilder()
    parameters = b.parameters(np.full(4, 0.1), np.zeros(4), "int8")
    b.output(b.node("QuantizeLinear", b.input((1, 4)), *parameters), "int8")
    with pytest.raises(UnsupportedError, match="a scale for each channel"):
        imported(b.model())


def test_dynamic_dimensions():
    """The batch is bound to 1; others want --shape."""
    check_model(quantised(("n", 4)).model(), {"x": np.ones((1, 4), np.float32)})
    model = quantised(("n", 3, "h", "w"), lambda b, x: b.node("MaxPool", x, kernel_shape=[2, 2])).model()
    with pytest.raises(UnsupportedError, match=r"--shape x=1,3,64,64"):
        static_model(model, "test.onnx")
    assert static_model(model, "test.onnx", {"x": (1, 3, 8, 6)}).shapes["x"] == (1, 3, 8, 6)
    with pytest.raises(UsageError, match="doesn't fit"):
        static_model(model, "test.onnx", {"x": (1, 4, 8, 6)})
    with pytest.raises(UsageError, match="names 'y'"):
        static_model(model, "test.onnx", {"y": (1, 4, 8, 6)})


def test_old_opsets_are_converted(tmp_path):
    """Opset 10: the first one with QuantizeLinear; Clip has its bounds as attributes."""
    b = OnnxBuilder(10)
    x = b.activation(b.input((1, 4)), 0.1, 3)
    b.output(b.activation(b.node("Clip", x, min=-0.5, max=1.0), 0.05, 0))
    path = saved(b.model(), tmp_path)
    proto = read_proto(path)
    assert proto.opset_import[0].version == 13
    check_model(proto, {"x": np.linspace(-2, 2, 4, dtype=np.float32)[None]})


def test_an_opset_that_is_too_old(tmp_path):
    node = helper.make_node("Relu", ["x"], ["y"], consumed_inputs=[0])
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy"]
    model = helper.make_model(
        helper.make_graph([node], "g", value[:1], value[1:]), opset_imports=[helper.make_opsetid("", 1)]
    )
    with pytest.raises(TinycompileError):
        load(saved(model, tmp_path))


@pytest.mark.parametrize(
    ("domain", "words"), [("org.example", r"org\.example"), ("com.microsoft.nchwc", r"(?s)nchwc.*level 'extended'")]
)
def test_foreign_domains(domain, words, tmp_path):
    b = quantised(tail=lambda b, x: b.node("Fancy", x, domain=domain))
    model = b.model()
    model.opset_import.append(helper.make_opsetid(domain, 1))
    with pytest.raises(UnsupportedError, match=words):
        load(saved(model, tmp_path))


def test_external_data(tmp_path):
    b = OnnxBuilder()
    x = b.activation(b.input((1, 64)), 0.1, 3)
    w = b.weights(np.random.default_rng(0).integers(-127, 128, (64, 32)).astype(np.int8), 0.01, 0)
    b.output(b.activation(b.node("MatMul", x, w), 0.3, 0))
    path = tmp_path / "model.onnx"
    onnx.save(b.model(), str(path), save_as_external_data=True, location="weights.bin", size_threshold=100)
    assert load(path).macs() == 64 * 32
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelFileError):
        load(path)


def test_local_functions_are_inlined(tmp_path):
    body = helper.make_function(
        "custom", "Halved", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    model = quantised(tail=lambda b, x: b.node("Halved", x, domain="custom")).model()
    model.functions.append(body)
    model.opset_import.append(helper.make_opsetid("custom", 1))
    assert "lookup" in [node.op.kind for node in load(saved(model, tmp_path)).nodes]


def test_constants_are_folded():
    def tail(b, x):
        shape = b.node(
            "Concat",
            b.constant([1], np.int64),
            b.node("Mul", b.constant([2], np.int64), b.constant([2], np.int64)),
            axis=0,
        )
        return b.node("Reshape", x, shape)

    check_model(quantised((1, 2, 2), tail).model(), {"x": np.ones((1, 2, 2), np.float32)})


MICROSOFT_KINDS = (
    "QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearSoftmax".split()
)


@pytest.mark.parametrize("kind", MICROSOFT_KINDS)
@pytest.mark.parametrize("operands", [0, 1, 2, 4])
def test_microsoft_nodes_that_contradict_themselves(kind, operands, tmp_path):
    """onnx's checker doesn't know them."""
    b = OnnxBuilder()
    x = b.input((1, 2, 4, 4), "int8")
    names = [x, *(b.constant(0.1, np.float32) for _ in range(3))][:operands]
    attributes = {"channels_last": 1, "alpha": "large", "axis": 9, "opset": 11, "transB": [1, 2]}
    b.output(b.node(kind, *names, domain="com.microsoft", **attributes), "int8")
    b.output(b.activation(b.node("Relu", b.dequantize(x, 0.1, 0)), 0.1, 0))
    with pytest.raises(TinycompileError):
        load(saved(b.model(), tmp_path))
