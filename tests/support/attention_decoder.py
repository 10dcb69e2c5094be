"""A decoder's step of ONNX's own Attention over a cache of fixed length, with random weights."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from tests.support.onnx_builder import OnnxBuilder

HEADS, SIZE, KEPT = 2, 8, 7
STATES = {"past_key": "present_key", "past_value": "present_value"}
_WIDTH = HEADS * SIZE


def decoder(way: str, shared: int) -> onnx.ModelProto:
    """Of a row of floats x, and what says which of the cache it may look at.

    Args:
        way: "past": Attention is given past keys and values and gives present ones, which are one row more (opset 23);
            `mask` hides what isn't filled. "window": the same, and the model takes the oldest row off itself.
            "scatter": TensorScatter writes into the cache at `position`, and Attention is told how much is filled
            (opset 24).
        shared: heads of keys and values.
    """
    b, rng = OnnxBuilder(), np.random.default_rng(0)
    b.opset = 24 if way == "scatter" else 23

    def projected(x: str, columns: int) -> str:
        return b.node("MatMul", x, b.constant(rng.normal(0, 0.4, (_WIDTH, columns)), np.float32))

    def by_head(x: str, heads: int) -> str:
        return b.node("Transpose", b.node("Reshape", x, b.constant([1, 1, heads, SIZE])), perm=[0, 2, 1, 3])

    x = b.input((1, 1, _WIDTH), name="x")
    past = [b.input((1, shared, KEPT, SIZE), name=name) for name in STATES]
    query, *new = projected(x, _WIDTH), projected(x, shared * SIZE), projected(x, shared * SIZE)
    present = [*STATES.values()]
    if way != "scatter":
        joined = present if way == "past" else [f"{name}_longer" for name in present]
        operands = [query, *new, b.input((1, KEPT + 1), "bool", "mask"), *past]
        heads = {"q_num_heads": HEADS, "kv_num_heads": shared}
        b.nodes.append(helper.make_node("Attention", operands, ["mixed", *joined], **heads))
        mixed = "mixed"
        first, end, axis = (b.constant([number]) for number in (1, KEPT + 1, 2))
        for longer, name in zip(joined, present, strict=True):
            if longer != name:
                b.nodes.append(helper.make_node("Slice", [longer, first, end, axis], [name]))
    else:
        at = b.input((1,), "int64", "position")
        for old, row, name in zip(past, new, present, strict=True):
            b.nodes.append(helper.make_node("TensorScatter", [old, by_head(row, shared), at], [name], axis=2))
        filled = b.node("Add", at, b.constant([1]))
        y = b.node("Attention", by_head(query, HEADS), *present, "", "", "", filled, is_causal=1)
        mixed = b.node("Reshape", b.node("Transpose", y, perm=[0, 2, 1, 3]), b.constant([1, 1, _WIDTH]))
    b.output(projected(b.node("Add", mixed, x), 5))
    for name in present:
        b.output(name)
    return b.model()


def steps(way: str, count: int) -> dict[str, np.ndarray]:
    """A sequence without states: rows for each step. The cache is filled from its end, or its beginning on."""
    numbers = np.arange(count)[:, None]
    x = np.random.default_rng(1).normal(0, 1, (count, 1, 1, _WIDTH)).astype(np.float32)
    if way != "scatter":
        return {"x": x, "mask": (np.arange(KEPT + 1) >= KEPT - numbers)[:, None]}
    return {"x": x, "position": numbers % KEPT}
