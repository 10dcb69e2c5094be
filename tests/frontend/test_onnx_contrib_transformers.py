"""com.microsoft's attentions and embeddings of floats against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.random import Generator
from onnx import helper, numpy_helper

from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx import import_onnx

onnxruntime = pytest.importorskip("onnxruntime")

Operands = Mapping[str, np.ndarray | None]
_CONSTANT = ("weights", "bias", "gamma", "beta", "words", "places", "segments")


def model_of(kind: str, operands: Operands, outputs: list[str], attributes: Mapping[str, Any]) -> onnx.ModelProto:
    """One node; None is an operand that is left out, and weights are constants."""
    given = {name: value for name, value in operands.items() if value is not None}
    names = [name if name in given else "" for name in operands]
    while not names[-1]:
        names.pop()
    node = helper.make_node(kind, names, outputs, domain="com.microsoft", **attributes)
    types = {n: helper.np_dtype_to_tensor_dtype(v.dtype) for n, v in given.items()}
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(n, types[n], v.shape) for n, v in given.items() if n not in _CONSTANT],
        [helper.make_empty_tensor_value_info(name) for name in outputs if name],
        [numpy_helper.from_array(v, n) for n, v in given.items() if n in _CONSTANT],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def floats(rng: Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def mask_of(rng: Generator, kind: int, batch: int, queries: int, keys: int) -> np.ndarray | None:
    """None, rows of keys, matrices, or how many keys there are."""
    shape = {1: (batch, keys), 2: (batch, queries, keys)}.get(kind)
    if shape is not None:
        mask = rng.integers(0, 2, shape).astype(np.int32)
        mask[..., 0] = 1
        return mask
    return rng.integers(1, keys + 1, batch).astype(np.int32) if kind == 3 else None


def attention_case(rng: Generator) -> tuple[Operands, list[str], dict[str, Any]]:
    batch, heads, size, length, past = (int(n) for n in rng.integers((1, 1, 1, 2, 0), (3, 4, 5, 5, 3)))
    width, other = heads * size, heads * (size + int(rng.integers(0, 2)) * (past == 0))
    columns = 2 * width + other
    operands = {
        "x": floats(rng, batch, length, 6),
        "weights": floats(rng, 6, columns),
        "bias": floats(rng, columns),
        "mask": mask_of(rng, int(rng.integers(0, 4)), batch, length, past + length),
        "past": floats(rng, 2, batch, heads, past, size) if past else None,
        "added": floats(rng, 1, heads, length, length) if not past and rng.integers(2) else None,
    }
    attributes = {"num_heads": heads, "unidirectional": int(rng.integers(2))}
    if other != width:
        attributes["qkv_hidden_sizes"] = [width, width, other]
    return operands, ["y", "present"] if past else ["y"], attributes


def multi_head_case(rng: Generator) -> tuple[Operands, list[str], dict[str, Any]]:
    batch, heads, size, queries, keys = (int(n) for n in rng.integers((1, 1, 1, 1, 2), (3, 4, 5, 4, 5)))
    width, other, past = heads * size, heads * int(rng.integers(1, 4)), 0
    split = bool(rng.integers(2))
    other = width if split else other
    if not split and rng.integers(2):
        past, other, keys = 2, width, queries
    operands = {
        "query": floats(rng, batch, queries, width),
        "key": floats(rng, batch, heads, keys, size) if split else floats(rng, batch, keys, width),
        "value": floats(rng, batch, heads, keys, other // heads) if split else floats(rng, batch, keys, other),
        "bias": None if split or rng.integers(2) else floats(rng, 2 * width + other),
        "mask": mask_of(rng, int(rng.integers(0, 3)), batch, queries, past + keys),
        "added": floats(rng, 1, heads, queries, past + keys) if rng.integers(2) else None,
        "past_key": floats(rng, batch, heads, past, size) if past else None,
        "past_value": floats(rng, batch, heads, past, size) if past else None,
    }
    attributes: dict[str, Any] = {"num_heads": heads, "unidirectional": int(keys == queries and rng.integers(2))}
    if rng.integers(2):
        attributes["scale"] = 0.7
    return operands, ["y", "present_key", "present_value"] if past else ["y"], attributes


def embedding_case(rng: Generator) -> tuple[Operands, list[str], dict[str, Any]]:
    length, segments = int(rng.integers(2, 6)), bool(rng.integers(2))
    ids = rng.integers(0, 9, (2, length)).astype(np.int32)
    mask = rng.integers(0, 2, (2, length)).astype(np.int32) if rng.integers(2) else None
    operands = {
        "ids": ids,
        "parts": (ids % 2).astype(np.int32) if segments else None,
        "words": floats(rng, 9, 8),
        "places": floats(rng, 7, 8),
        "segments": floats(rng, 2, 8) if segments else None,
        "gamma": floats(rng, 8),
        "beta": floats(rng, 8),
        "mask": mask,
    }
    return operands, ["y", "count", "sum"], {"epsilon": 1e-3}


CASES = {
    "Attention": (attention_case, 12),
    "MultiHeadAttention": (multi_head_case, 12),
    "EmbedLayerNormalization": (embedding_case, 4),
}


@pytest.mark.parametrize("kind", CASES)
def test_means_what_onnxruntime_computes(kind: str, tmp_path: Path) -> None:
    make, count = CASES[kind]
    rng = np.random.default_rng(len(kind))
    for _ in range(count):
        operands, outputs, attributes = make(rng)
        model = model_of(kind, operands, outputs, attributes)
        given = {n: v for n, v in operands.items() if v is not None and n not in _CONSTANT}
        expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)
        onnx.save(model, str(tmp_path / "m.onnx"))
        graph = import_onnx(tmp_path / "m.onnx", "m", floats="all")
        inputs = [value.reshape(graph.types[n].shape) for n, value in given.items()]
        values = interpreter.run(graph, inputs)
        for output, wanted in zip(graph.outputs, expected, strict=True):
            text = f"{attributes} { {n: v.shape for n, v in given.items()} }"
            np.testing.assert_allclose(values[output].reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-5, err_msg=text)


@pytest.mark.parametrize(
    ("kind", "changes", "attributes", "why"),
    [
        ("Attention", {}, {"do_rotary": 1}, "do_rotary"),
        ("Attention", {}, {"qkv_hidden_sizes": [4, 4, 5]}, "widths of"),
        ("MultiHeadAttention", {"key": None, "value": None}, {}, "packed keys"),
    ],
)
def test_what_is_refused(
    kind: str, changes: Mapping[str, None], attributes: Mapping[str, Any], why: str, tmp_path: Path
) -> None:
    operands, outputs, others = CASES[kind][0](np.random.default_rng(2))
    onnx.save(model_of(kind, {**operands, **changes}, outputs, {**others, **attributes}), str(tmp_path / "m.onnx"))
    with pytest.raises(UnsupportedError, match=why):
        import_onnx(tmp_path / "m.onnx", "m", floats="all")
