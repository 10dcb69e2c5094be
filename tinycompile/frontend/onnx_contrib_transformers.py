"""com.microsoft's attention and embeddings of floats (onnxruntime, docs/ContribOperators.md) in ONNX's words: what its
transformer optimiser makes of BERT and the like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_contrib_attention import (
    MASKED,
    by_head,
    causally,
    is_kept,
    masked,
    mixed,
    scaled_scores,
    with_past,
)
from tinycompile.frontend.onnx_contrib_norms import rows_normalised
from tinycompile.frontend.onnx_expansion import Expansion
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.tflite_scope import Rejected

_FLOAT, _INT32, _INT64 = 1, 6, 7
"""Of TensorProto."""


def _attention(step: Expansion, inputs: list[str]) -> list[Any]:
    """Attention(input, weights, bias, mask_index, past, attention_bias, past_sequence_length)."""
    x, weights, bias, mask, past, added, length = [*inputs, *[""] * (7 - len(inputs))]
    if step.take("do_rotary", 0) or step.take("past_present_share_buffer", 0) or length:
        raise Rejected("do_rotary, past_present_share_buffer and past_sequence_length are not supported")
    step.take("rotary_embedding_dim", 0)  # of do_rotary
    heads, columns = int(step.take("num_heads", 1)), _sizes(step, weights)[-1]
    widths = [int(n) for n in step.take("qkv_hidden_sizes", None) or [columns // 3] * 3]
    if len(widths) != 3 or sum(widths) != columns or any(width % heads for width in widths):
        raise Rejected(f"{columns} columns of weights for {heads} heads and widths of {widths}")
    product, all_three, nodes = step.name("product"), step.name("qkv"), list[Any]()
    nodes.append(step.make("MatMul", [x, weights], product))
    if bias:
        nodes.append(step.make("Add", [product, bias], all_three))
    parts = [step.name(stem) for stem in ("q", "k", "v")]
    sizes = step.constant("sizes", widths, np.int64)
    split = onnx_module().helper.make_node("Split", [all_three if bias else product, sizes], parts, axis=-1)
    nodes.append(split)
    q, k, v = (
        by_head(step, part, step.constant("heads", [0, 0, heads, width // heads], np.int64), nodes)
        for part, width in zip(parts, widths, strict=True)
    )
    if past or is_kept(step):
        k, v = with_past(step, past, k, v, nodes)
    _rest(step, (q, k, v), (widths[0] // heads, widths[2]), (mask, added), nodes)
    return nodes


def _multi_head_attention(step: Expansion, inputs: list[str]) -> list[Any]:
    """MultiHeadAttention(query, key, value, bias, key_padding_mask, attention_bias, past_key, past_value, ...).

    Queries are rows of all heads; keys and values too, or have heads already.
    """
    query, key, value, bias, mask, added, past_key, past_value, *others = [*inputs, *[""] * (10 - len(inputs))]
    if any(others) or not key or not value:
        raise Rejected("packed keys and values, past_sequence_length and cache_indirection are not supported")
    heads, nodes = int(step.take("num_heads", 1)), list[Any]()
    width, found = _sizes(step, query)[-1], list[str]()
    shapes = [_sizes(step, name) for name in (query, key, value)]
    widths = [shape[-1] if len(shape) == 3 else heads * shape[-1] for shape in shapes]
    if any(len(shape) not in (3, 4) for shape in shapes) or any(w % heads for w in widths):
        raise Rejected(f"queries, keys and values of {shapes} for {heads} heads")
    biases = _split(step, bias, widths, nodes) if bias else ["", "", ""]
    for name, shape, part, each in zip((query, key, value), shapes, biases, widths, strict=True):
        if len(shape) == 4:
            if part:
                raise Rejected("a bias for keys and values that have heads already")
            found.append(name)
            continue
        if part:
            biased = step.name("biased")
            nodes.append(step.make("Add", [name, part], biased))
            name = biased
        found.append(by_head(step, name, step.constant("heads", [0, 0, heads, each // heads], np.int64), nodes))
    q, k, v = found
    kept = [*step.node.output[1:3], "", ""][:2]
    k, v = (_joined(step, *each, nodes) for each in ((past_key, k, kept[0]), (past_value, v, kept[1])))
    _rest(step, (q, k, v), (width // heads, widths[2]), (mask, added), nodes)
    return nodes


def _rest(
    step: Expansion, operands: Sequence[str], widths: tuple[int, int], masks: tuple[str, str], nodes: list[Any]
) -> None:
    """softmax(scale * Q K' + what is added + masks) V.

    Args:
        operands: Q, K, V (batch, heads, positions, size).
        widths: of a head's queries, and of all heads' values.
        masks: of keys, and what is added to scores; empty if there is none.
    """
    (q, k, v), (mask, added) = operands, masks
    filler = float(step.take("mask_filter_value", MASKED))
    factor = float(step.take("scale", 0.0)) or 1 / sqrt(widths[0])
    scores = scaled_scores(step, q, k, factor, nodes)
    if step.take("unidirectional", 0):
        scores = causally(step, scores, filler, nodes)
    if mask:
        rank = step.rank(mask)
        if rank == 1:
            mask, rank = _filled(step, scores, mask, nodes), 2
        scores = masked(step, scores, mask, rank, filler, nodes)
    if added:
        biased = step.name("with_bias")
        nodes.append(step.make("Add", [scores, added], biased))
        scores = biased
    mixed(step, scores, v, widths[1], nodes)


def _filled(step: Expansion, scores: str, lengths: str, nodes: list[Any]) -> str:
    """int32 (batch, keys): 1 in front of the number of keys that each element of the batch has."""
    if _sizes(step, lengths) not in ((1,), (0,)) and _sizes(step, lengths)[0] != _batch(step):
        raise Rejected("a mask of one dimension that isn't the number of keys")
    helper, one = onnx_module().helper, onnx_module().numpy_helper.from_array(np.array([1], np.int64))
    names = ("shape", "keys", "ones", "numbers", "wide", "numbers_of", "inside", "mask")
    shape, keys, ones, numbers, wide, of, inside, result = (step.name(n) for n in names)
    ends = [step.constant("end", [n], np.int64) for n in (3, 4)]
    axis, zero = step.constant("axis", [1], np.int64), step.constant("axis", 0, np.int64)
    nodes += [
        step.make("Shape", [scores], shape),
        step.make("Slice", [shape, *ends], keys),
        helper.make_node("ConstantOfShape", [keys], [ones], value=one),
        step.make("CumSum", [ones, zero], numbers),
        step.make("Unsqueeze", [lengths, axis], wide),
        step.make("Cast", [wide], of, to=_INT64),
        step.make("LessOrEqual", [numbers, of], inside),
        step.make("Cast", [inside], result, to=_INT32),
    ]
    return result


def _joined(step: Expansion, past: str, new: str, kept: str, nodes: list[Any]) -> str:
    """Keys or values behind those of the past, which may be a result."""
    if past:
        longer = kept or step.name("longer")
        nodes.append(step.make("Concat", [past, new], longer, axis=2))
        return longer
    if kept:
        nodes.append(step.make("Identity", [new], kept))
    return new


def _split(step: Expansion, name: str, widths: Sequence[int], nodes: list[Any]) -> list[str]:
    parts = [step.name(stem) for stem in ("bias_q", "bias_k", "bias_v")]
    sizes = step.constant("sizes", list(widths), np.int64)
    nodes.append(onnx_module().helper.make_node("Split", [name, sizes], parts, axis=0))
    return parts


def _sizes(step: Expansion, name: str) -> tuple[int, ...]:
    """Sizes as far as they are known, else 0."""
    found = step.typed(name)
    if found is None or not found.HasField("shape"):
        raise Rejected(f"the shape of {name!r} is unknown")
    return tuple(dim.dim_value for dim in found.shape.dim)


def _batch(step: Expansion) -> int:
    return _sizes(step, step.node.input[0])[0]


def _embeddings(step: Expansion, inputs: list[str]) -> list[Any]:
    """EmbedLayerNormalization(input_ids, segment_ids, word_embedding, position_embedding, segment_embedding, gamma,
    beta, mask, position_ids): results are the norm, the number of keys that the mask lets through, the sum.
    """
    ids, segments, words, places, parts, gamma, beta, mask, positions = [*inputs, *[""] * (9 - len(inputs))]
    nodes, found = list[Any](), [step.name(stem) for stem in ("words", "places")]
    nodes.append(step.make("Gather", [words, ids], found[0], axis=0))
    if positions:
        nodes.append(step.make("Gather", [places, positions], found[1], axis=0))
    else:
        shape, count = step.name("shape"), step.name("count")
        zero, one, two = (step.constant("index", [n], np.int64) for n in range(3))
        nodes += [
            step.make("Shape", [ids], shape),
            step.make("Slice", [shape, one, two], count),
            step.make("Slice", [places, zero, count, zero], found[1]),
        ]
    total = step.name("sum")
    nodes.append(step.make("Add", found, total))
    if segments:
        of_part, whole = step.name("segments"), step.name("sum")
        nodes += [step.make("Gather", [parts, segments], of_part, axis=0), step.make("Add", [total, of_part], whole)]
        total = whole
    outputs = [*step.node.output, "", ""][:3]
    step.take("mask_index_type", 0)
    if outputs[2]:
        nodes.append(step.make("Identity", [total], outputs[2]))
    if outputs[1]:
        nodes += _key_counts(step, ids, mask, outputs[1])
    return [*nodes, *rows_normalised(step, total, gamma, beta, centred=True)]


def _key_counts(step: Expansion, ids: str, mask: str, result: str) -> list[Any]:
    """int32 (batch,): sums of the mask's rows, 0 without one."""
    axis, nodes, numbers = step.constant("axis", [1], np.int64), list[Any](), step.name("mask")
    if not mask:
        mask = step.name("none")
        nodes.append(step.make("Mul", [ids, step.constant("nothing", 0, np.int32)], mask))
    total = step.name("count")
    return [
        *nodes,
        step.make("Cast", [mask], numbers, to=_FLOAT),
        step.make("ReduceSum", [numbers, axis], total, keepdims=0),
        step.make("Cast", [total], result, to=_INT32),
    ]


TRANSFORMERS: Mapping[str, Callable[[Expansion, list[str]], list[Any]]] = {
    "Attention": _attention,
    "EmbedLayerNormalization": _embeddings,
    "MultiHeadAttention": _multi_head_attention,
}
"""By operator: its nodes in ONNX's words, from its operands."""
