"""Attention, what writes its cache, and normalisations: their definitions against onnx's reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.random import Generator
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.support.onnx_builder import OnnxBuilder
from tests.support.onnx_nodes import run_as_c
from tinycompile import interpreter
from tinycompile.frontend.onnx import import_onnx
from tinycompile.ir import Graph


def model_of(
    kind: str, operands: Mapping[str, np.ndarray | None], outputs: Sequence[str], opset: int, **attributes: Any
) -> onnx.ModelProto:
    """One node whose operands are the model's inputs; None is an operand that is left out."""
    given = {name: value for name, value in operands.items() if value is not None}
    node = helper.make_node(kind, [name if name in given else "" for name in operands], outputs, **attributes)
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in given.items()
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs if name]
    graph = helper.make_graph([node], "g", inputs, results)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=11)


def graph_of(model: onnx.ModelProto, folder: Path) -> Graph:
    path = folder / "node.onnx"
    onnx.save(model, str(path))
    return import_onnx(path, "node", floats="all")


def compare(model: onnx.ModelProto, operands: Mapping[str, np.ndarray | None], folder: Path) -> Graph:
    """The graph's meaning is what the reference evaluator computes."""
    given = {name: value for name, value in operands.items() if value is not None}
    expected = ReferenceEvaluator(model).run(None, given)
    graph = graph_of(model, folder)
    values = interpreter.run(graph, [value.reshape(graph.types[n].shape) for n, value in given.items()])
    for name, wanted in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(values[name].reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-5)
    return graph


def attention_case(rng: Generator, opset: int) -> tuple[dict[str, np.ndarray | None], dict[str, Any], list[str]]:
    """(operands, attributes, results) with any options together that the standard allows."""

    def one_of(*choices: Any) -> Any:
        return choices[int(rng.integers(len(choices)))]

    def floats(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    batch, kv_heads, share, width, depth = (int(n) for n in rng.integers(1, 4, 5))
    heads, queries, new = kv_heads * share, int(rng.integers(1, 5)), int(rng.integers(2, 6))
    rows, past = one_of(True, False), one_of(0, 0, 3)
    lengths = opset >= 24 and not past and one_of(True, False)
    keys = past + new
    operands: dict[str, np.ndarray | None] = {
        "q": floats(batch, queries, heads * width) if rows else floats(batch, heads, queries, width),
        "k": floats(batch, new, kv_heads * width) if rows else floats(batch, kv_heads, new, width),
        "v": floats(batch, new, kv_heads * depth) if rows else floats(batch, kv_heads, new, depth),
    }
    columns = keys - 1 if opset >= 24 and not lengths and one_of(True, False, False) else keys
    shape = one_of((queries, columns), (1, 1, queries, columns), (batch, heads, queries, columns))
    boolean = rng.random(shape) > 0.4
    numbers = np.where(rng.random(shape) > 0.3, floats(*shape), -np.inf).astype(np.float32)
    operands["mask"] = one_of(None, boolean, numbers)
    operands["past_key"] = floats(batch, kv_heads, past, width) if past else None
    operands["past_value"] = floats(batch, kv_heads, past, depth) if past else None
    attributes: dict[str, Any] = {
        "is_causal": one_of(0, 1),
        "softcap": one_of(0.0, 1.5),
    }
    # onnx 1.23's evaluator caps what mode 0 gives, too; its schema's body doesn't.
    attributes["qk_matmul_output_mode"] = one_of(*((1, 2, 3) if attributes["softcap"] else (0, 1, 2, 3)))
    if one_of(True, False):
        attributes["scale"] = 0.7
    if rows:
        attributes |= {"q_num_heads": heads, "kv_num_heads": kv_heads}
    if opset >= 24:
        operands["lengths"] = rng.integers(1, keys + 1, batch) if lengths else None
    if opset >= 25:
        attributes |= {"left_window_size": one_of(-1, 0, 2), "right_window_size": one_of(-1, 1)}
    used = ["y", *(["pk", "pv"] if past else ["", ""]), *([] if one_of(True, False) else ["qk"])]
    while not used[-1]:
        used.pop()
    return operands, attributes, used


@pytest.mark.parametrize("opset", (23, 24, 25))
def test_attention(opset: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(opset)
    for _ in range(24):
        operands, attributes, outputs = attention_case(rng, opset)
        with np.errstate(invalid="ignore"):  # of rows that look at nothing
            compare(model_of("Attention", operands, outputs, opset, **attributes), operands, tmp_path)


def test_attention_without_masks_is_five_operators(tmp_path: Path) -> None:
    """No mask of zeros is added, and nothing asks whether a query looks at nothing."""
    x = np.zeros((1, 2, 3, 4), np.float32)
    operands = dict.fromkeys(("q", "k", "v"), x)
    for attributes in ({}, {"is_causal": 1}):
        graph = graph_of(model_of("Attention", operands, ["y"], 23, **attributes), tmp_path)
        kinds = [node.op.kind for node in graph.nodes if node.op.kind not in ("reshape", "transpose")]
        masks = ["select"] if attributes else []
        assert kinds == ["batch_matmul", "mul", *masks, "softmax", "batch_matmul"]


@pytest.mark.parametrize(("mode", "opset"), (("linear", 24), ("circular", 24)))
def test_tensor_scatter(mode: str, opset: int, tmp_path: Path) -> None:
    """Places are computed; C writes into the cache itself."""
    rng = np.random.default_rng(len(mode))
    for axis, shape in ((1, (2, 5, 3)), (-2, (1, 2, 6, 4)), (-1, (2, 3, 4))):
        new = list(shape)
        new[axis] = 2
        first = rng.integers(0, shape[axis] - (1 if mode == "linear" else 0), shape[0])
        operands: dict[str, np.ndarray | None] = {
            "cache": rng.standard_normal(shape).astype(np.float32),
            "update": rng.standard_normal(new).astype(np.float32),
            "first": np.minimum(first, shape[axis] - 2) if mode == "linear" else first,
        }
        model = model_of("TensorScatter", operands, ["y"], opset, axis=axis, mode=mode)
        graph = compare(model, operands, tmp_path)
    feeds = [v.reshape(graph.types[n].shape) for n, v in operands.items() if v is not None]
    (got,) = run_as_c(graph, feeds, tmp_path)
    np.testing.assert_array_equal(got, interpreter.run(graph, feeds)[graph.outputs[0]])


@pytest.mark.parametrize(
    ("kind", "opset", "attributes", "parameters"),
    (
        ("LayerNormalization", 17, {}, ((5,), (5,))),
        ("LayerNormalization", 17, {"axis": 1, "epsilon": 1e-2}, ((4, 5), (4, 5))),
        ("LayerNormalization", 17, {}, ((5,),)),
        ("RMSNormalization", 23, {}, ((5,),)),
        ("RMSNormalization", 23, {"axis": 1, "epsilon": 1e-2}, ((4, 5),)),
        ("InstanceNormalization", 22, {}, ((4,), (4,))),
        ("GroupNormalization", 21, {"num_groups": 2}, ((4,), (4,))),
    ),
)
def test_normalisations(
    kind: str, opset: int, attributes: dict[str, Any], parameters: Sequence[tuple[int, ...]], tmp_path: Path
) -> None:
    """A mean that is large beside the deviation takes nothing of it."""
    rng = np.random.default_rng(opset)
    x = (rng.standard_normal((2, 4, 5)) + 100).astype(np.float32)
    operands: dict[str, np.ndarray | None] = {"x": x}
    for name, shape in zip(("scale", "bias"), parameters, strict=False):
        operands[name] = rng.standard_normal(shape).astype(np.float32)
    outputs = ["y", "mean", "inverse"] if kind == "LayerNormalization" else ["y"]
    graph = graph_of(model_of(kind, operands, outputs, opset, **attributes), tmp_path)
    given = [np.asarray(v) for v in operands.values()]
    values = interpreter.run(graph, [v.reshape(graph.types[n].shape) for v, n in zip(given, graph.inputs, strict=True)])
    wide = [v.astype(np.float64) for v in given]
    np.testing.assert_allclose(values[graph.outputs[0]], expected_of(kind, attributes, *wide), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["LayerNormalization", "RMSNormalization"])
def test_rows_with_constant_columns_are_one_operator(kind: str, tmp_path: Path) -> None:
    """Between DequantizeLinear and QuantizeLinear, where channels are last or second, and in floats."""
    rng, b = np.random.default_rng(5), OnnxBuilder()
    b.opset = 23
    columns = [b.constant(rng.normal(1, 0.2, 6), np.float32) for _ in range(2 if kind == "LayerNormalization" else 1)]
    x = b.node("Transpose", b.dequantize(b.input((1, 6, 3, 4), "int8"), 0.1, 3), perm=[0, 2, 3, 1])
    b.output(b.quantize(b.node(kind, x, *columns), 0.03, -5), "int8")
    onnx.save(b.model(), str(tmp_path / "q.onnx"))
    graph = import_onnx(tmp_path / "q.onnx", "q")
    assert "layer_normalization" in {node.op.kind for node in graph.nodes}
    assert not [node for node in graph.nodes if graph.types[node.outputs[0]].dtype.is_float]
    values = rng.integers(-128, 128, (1, 6, 3, 4)).astype(np.int8)
    (expected,) = ReferenceEvaluator(b.model()).run(None, {graph.inputs[0]: values})
    got = interpreter.run(graph, [values.reshape(graph.types[graph.inputs[0]].shape)])[graph.outputs[0]]
    np.testing.assert_array_equal(got, expected)
    rows = np.asarray(rng.normal(0, 1, (2, 6)), np.float32)
    floats = graph_of(model_with_columns(kind, rows), tmp_path)
    assert [node.op.kind for node in floats.nodes] == ["layer_normalization"]


def model_with_columns(kind: str, x: np.ndarray) -> onnx.ModelProto:
    model = model_of(kind, {"x": x, "scale": np.ones(x.shape[-1:], np.float32)}, ["y"], 23)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(x.shape[-1:], np.float32), "scale"))
    del model.graph.input[1]
    return model


def expected_of(kind: str, attributes: Mapping[str, Any], x: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
    """Of (N, C, L) in float64, by the operators' definitions."""
    rows = x
    if kind == "GroupNormalization":
        rows = x.reshape(x.shape[0], attributes["num_groups"], -1)
    axes = (1, 2) if attributes.get("axis") == 1 else (-1,)
    centred = rows if kind == "RMSNormalization" else rows - rows.mean(axis=axes, keepdims=True)
    power = np.square(centred).mean(axis=axes, keepdims=True)
    y = (centred / np.sqrt(power + attributes.get("epsilon", 1e-5))).reshape(x.shape)
    by_channel = kind in ("InstanceNormalization", "GroupNormalization")
    for value, by in zip(parameters, (np.multiply, np.add), strict=False):
        y = by(y, value[:, None] if by_channel else value)
    return y
