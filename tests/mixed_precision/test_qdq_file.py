"""Few bits for QDQ ONNX files: what was fitted is in the file, and nothing else of it changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import ROOT
from tests.support.onnx_builder import imported
from tinycompile import interpreter
from tinycompile.frontend import load
from tinycompile.mixed_precision.automatic import Budget, automatic
from tinycompile.mixed_precision.fitting import LowBits, NewBias
from tinycompile.mixed_precision.network import Network
from tinycompile.mixed_precision.qdq_file import QdqFile
from tinycompile.quantize import quantize


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convolutions, one of them depthwise, and a matrix whose rows are inputs or outputs, quantised."""
    folder, random = tmp_path_factory.mktemp("qdq"), np.random.default_rng(3)
    shapes = {"w1": (12, 3, 3, 3), "b1": (12,), "w2": (12, 1, 3, 3), "b2": (12,), "w3": (16, 12, 1, 1), "w4": (16, 5)}
    shapes |= {"w5": (7, 5), "b5": (7,)}
    weights = [numpy_helper.from_array(random.normal(0, 0.4, s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["ra"]),
        helper.make_node("Conv", ["ra", "w2", "b2"], ["b"], "depthwise", group=12),
        helper.make_node("Conv", ["b", "w3"], ["c"], "pointwise"),
        helper.make_node("GlobalAveragePool", ["c"], ["m"]),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("MatMul", ["f", "w4"], ["d"], "matrix"),
        helper.make_node("Gemm", ["d", "w5", "b5"], ["y"], "last", transB=1),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (1, 3, 8, 8)), ("y", (1, 7))))
    net = helper.make_graph(nodes, "net", [x], [y], weights)
    onnx.save(helper.make_model(net, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "f.onnx")
    np.savez(folder / "c.npz", x=random.normal(0, 1, (24, 3, 8, 8)).astype(np.float32))
    made = quantize(folder / "f.onnx", folder / "c.npz", method="minmax").proto
    onnx.save(made, folder / "q.onnx")
    return folder / "q.onnx"


def test_what_was_fitted_is_in_the_file(path: Path) -> None:
    network, random = Network(load(path)), np.random.default_rng(1)
    file = QdqFile(onnx.load(path), network.layers, "ours")
    assert set(file.places) == set(network.layers) and len(file.places) == 5
    before = file.proto.SerializeToString()
    changes = dict[str, LowBits | NewBias]()
    for name, layer in network.layers.items():
        bias = random.integers(-99, 99, layer.outputs).astype(np.int32) if layer.has_bias else None
        if layer.is_depthwise and bias is not None:
            changes[name] = NewBias(bias)
            continue
        codes = random.integers(-8, 8, layer.own.weights.shape).astype(np.int8)
        scales = random.uniform(0.01, 0.02, layer.outputs).astype(np.float32)
        changes[name] = LowBits(4, codes, scales, bias, 0.0)
    content = file.rewritten(changes)
    assert file.proto.SerializeToString() == before
    (path.parent / "few.onnx").write_bytes(content)
    made = Network(load(path.parent / "few.onnx"))
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    assert list(made.layers) == list(network.layers)
    for name, layer in made.layers.items():
        wanted = changes[name].parameters(network.layers[name])
        np.testing.assert_array_equal(layer.own.weights, wanted.weights.astype(np.float32))
        np.testing.assert_allclose(layer.own.bias, wanted.bias, rtol=1e-6)
        assert layer.sig.output.quant.same_as(network.layers[name].sig.output.quant)


def test_a_quantised_file_gets_few_bits(path: Path) -> None:
    found = automatic(path, path.parent / "c.npz", Budget(weight_part=0.6))
    assert found.fit.choice.bits and found.fit.measured.sqnr > 15

    assert found.content != path.read_bytes()


def test_layers_that_follow_rules_of_their_own_are_no_layers_with_scales() -> None:
    """The factors of a layer normalisation, which are a depthwise convolution for the compiler."""
    folder = ROOT / "examples" / "digits_vit"
    graph = load(folder / "digits_vit_int8.onnx")
    network, name = Network(graph), graph.inputs[0]
    kinds = [node.op.kind for node in network.graph.nodes if node.name not in network.layers]
    assert "depthwise_conv2d" in kinds
    x = np.load(folder / "digits_vit_calib.npz")["input_0"][:4].reshape(4, *graph.types[name].shape)
    inputs = network.inputs({name: x.astype(np.float32)})
    rounded, smooth = (network.outputs(inputs, {}, rounded=each)[0] for each in (True, False))
    exact = np.stack([interpreter.run(graph, {name: each})[graph.outputs[0]].ravel() for each in x.astype(np.float32)])
    for values in (rounded, smooth):
        assert np.square(values - exact).sum() < 1e-3 * np.square(exact).sum()


def test_other_places_are_left_alone(path: Path) -> None:
    """Weights that two nodes read; operators of an older set."""
    proto, layers = onnx.load(path), Network(load(path)).layers
    shared = next(node for node in proto.graph.node if node.op_type == "Gemm").input[1]
    proto.graph.node.append(helper.make_node("Identity", [shared], ["also"]))
    assert len(QdqFile(proto, layers).places) == 4
    proto.opset_import[0].version = 12
    assert not QdqFile(proto, layers).places


def test_weights_that_are_more_in_the_graph_are_left_alone(path: Path) -> None:
    """Less their zero point they have 9 bits: two layers' weights, which the file's one tensor has no place for."""
    proto = onnx.load(path)
    conv = next(node for node in proto.graph.node if node.name == "pointwise")
    dequantised = next(node for node in proto.graph.node if node.output[0] == conv.input[1])
    values = {value.name: value for value in proto.graph.initializer}
    for name in (dequantised.input[0], dequantised.input[2]):
        shifted = numpy_helper.to_array(values[name]).astype(np.int64) + (128 if name == dequantised.input[0] else 90)
        values[name].CopyFrom(numpy_helper.from_array(shifted.astype(np.uint8), name))
    layers = Network(imported(proto)[0]).layers
    places = QdqFile(proto, layers).places
    assert len(layers) == 5 and len(places) == 4 and all(place.node.name != "pointwise" for place in places.values())
