"""com.microsoft's QAttention (onnxruntime, docs/ContribOperators.md) in ONNX's words."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_expansion import Expansion
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.tflite_scope import Rejected

MASKED = -10000.0
"""What onnxruntime adds where nothing may be looked at, if the node doesn't say."""


def attention(step: Expansion, inputs: Sequence[str]) -> list[Any]:
    """QAttention(input, weight, bias, input_scale, weight_scale, mask_index, input_zero, weight_zero, past): queries,
    keys and values are a product of integers; softmax(scale * Q K' + mask) V in float32; then what was kept of keys and
    values. Raises Rejected.
    """
    x, weight, bias, x_scale, w_scale, mask, x_zero, w_zero, past = [*inputs, *[""] * (9 - len(inputs))]
    if step.take("do_rotary", 0) or step.take("past_present_share_buffer", 0):
        raise Rejected("the attributes do_rotary and past_present_share_buffer are not supported")
    heads, width = int(step.take("num_heads", 1)), _columns(step, weight)
    size = width // heads
    factor = float(step.take("scale", 0.0)) or 1 / sqrt(size)
    filler = float(step.take("mask_filter_value", MASKED))
    causal = bool(step.take("unidirectional", 0))
    product, all_three = step.name("product"), step.name("qkv")
    nodes = step.integer_sum([x, x_scale, x_zero], [weight, w_scale, w_zero], product)
    nodes.append(step.make("Add", [product, bias], all_three))
    parts = [step.name(stem) for stem in ("q", "k", "v")]
    sizes = step.constant("sizes", [width] * 3, np.int64)
    nodes.append(onnx_module().helper.make_node("Split", [all_three, sizes], parts, axis=-1))
    split = step.constant("heads", [0, 0, heads, size], np.int64)
    q, k, v = (by_head(step, part, split, nodes) for part in parts)
    if past or is_kept(step):
        k, v = with_past(step, past, k, v, nodes)
    scaled = scaled_scores(step, q, k, factor, nodes)
    if mask:
        scaled = masked(step, scaled, mask, step.rank(mask), filler, nodes)
    if causal:
        scaled = causally(step, scaled, filler, nodes)
    mixed(step, scaled, v, width, nodes)
    return nodes


def scaled_scores(step: Expansion, q: str, k: str, factor: float, nodes: list[Any]) -> str:
    """(batch, heads, queries, keys): products of queries and keys (batch, heads, positions, size), times a factor."""
    turned, scores, scaled = step.name("turned"), step.name("scores"), step.name("scaled")
    nodes += [
        step.make("Transpose", [k], turned, perm=[0, 1, 3, 2]),
        step.make("MatMul", [q, turned], scores),
        step.make("Mul", [scores, step.constant("factor", factor, np.float32)], scaled),
    ]
    return scaled


def mixed(step: Expansion, scores: str, v: str, width: int, nodes: list[Any]) -> None:
    """The node's first result (batch, queries, width): values, weighted by the softmax of scores."""
    shares, product, rows = step.name("shares"), step.name("mixed"), step.name("rows")
    joined = step.constant("joined", [0, 0, width], np.int64)
    nodes += [
        step.make("Softmax", [scores], shares, axis=-1),
        step.make("MatMul", [shares, v], product),
        step.make("Transpose", [product], rows, perm=[0, 2, 1, 3]),
        step.make("Reshape", [rows, joined], step.node.output[0]),
    ]


def _columns(step: Expansion, weight: str) -> int:
    """A third of the columns of the weights."""
    found = step.typed(weight)
    columns = found.shape.dim[-1].dim_value if found is not None and len(found.shape.dim) == 2 else 0
    if not columns or columns % 3:
        raise Rejected(f"the shape of the weights {weight!r} is unknown, or no matrix with a third for each of Q, K, V")
    return columns // 3


def is_kept(step: Expansion) -> bool:
    """Whether the second result is read: keys and values."""
    return len(step.node.output) > 1 and step.node.output[1] != ""


def by_head(step: Expansion, part: str, split: str, nodes: list[Any]) -> str:
    """(batch, heads, sequence, size) of (batch, sequence, heads * size)."""
    wide, result = step.name("wide"), step.name("by_head")
    nodes += [step.make("Reshape", [part, split], wide), step.make("Transpose", [wide], result, perm=[0, 2, 1, 3])]
    return result


def with_past(step: Expansion, past: str, k: str, v: str, nodes: list[Any]) -> tuple[str, str]:
    """Keys and values behind those of `past` (2, batch, heads, sequence, size), and both as the second result."""
    results = list[str]()
    for index, now in enumerate((k, v)):
        if past:
            which, before, longer = step.constant("which", index, np.int64), step.name("before"), step.name("longer")
            nodes += [
                step.make("Gather", [past, which], before, axis=0),
                step.make("Concat", [before, now], longer, axis=2),
            ]
            now = longer
        results.append(now)
    if is_kept(step):
        first, singles = step.constant("first", [0], np.int64), [step.name("single") for _ in results]
        nodes += [step.make("Unsqueeze", [r, first], s) for r, s in zip(results, singles, strict=True)]
        nodes.append(step.make("Concat", singles, step.node.output[1], axis=0))
    return results[0], results[1]


def masked(step: Expansion, scores: str, mask: str, rank: int, filler: float, nodes: list[Any]) -> str:
    """Where the mask (batch, keys) or (batch, queries, keys) is 0, the filler is added."""
    if rank not in (2, 3):
        raise Rejected(f"a mask of {rank} dimensions, supported are those with an element for each key")
    axes = step.constant("axes", [1, 2] if rank == 2 else [1], np.int64)
    wide, seen, added, result = (step.name(stem) for stem in ("mask", "seen", "added", "masked"))
    numbers = [step.constant("none", 0, np.float32), step.constant("filler", filler, np.float32)]
    nodes += [
        step.make("Unsqueeze", [mask, axes], wide),
        step.make("Greater", [wide, step.constant("zero", 0, np.int32)], seen),
        step.make("Where", [seen, *numbers], added),
        step.make("Add", [scores, added], result),
    ]
    return result


def causally(step: Expansion, scores: str, filler: float, nodes: list[Any]) -> str:
    """Query i sees no key behind number i + (keys - queries): the filler is added there. All of this is constant."""
    helper = onnx_module().helper
    names = ("shape", "matrix", "ones", "rows", "columns", "queries", "keys", "more", "limits", "hidden", "added")
    shape, matrix, ones, rows, columns, queries, keys, more, limits, hidden, added = (step.name(n) for n in names)
    result, one = step.name("causal"), onnx_module().numpy_helper.from_array(np.array([1], np.int64))
    two, three, zero, first = (step.constant("index", n, np.int64) for n in (2, 3, 0, 1))
    ends = [step.constant("axis", [n], np.int64) for n in (2, 4)]
    numbers = [step.constant("filler", filler, np.float32), step.constant("none", 0, np.float32)]
    nodes += [
        step.make("Shape", [scores], shape),
        step.make("Slice", [shape, *ends], matrix),
        helper.make_node("ConstantOfShape", [matrix], [ones], value=one),
        step.make("CumSum", [ones, zero], rows),
        step.make("CumSum", [ones, first], columns),
        step.make("Gather", [shape, two], queries),
        step.make("Gather", [shape, three], keys),
        step.make("Sub", [keys, queries], more),
        step.make("Add", [rows, more], limits),
        step.make("Greater", [columns, limits], hidden),
        step.make("Where", [hidden, *numbers], added),
        step.make("Add", [scores, added], result),
    ]
    return result
