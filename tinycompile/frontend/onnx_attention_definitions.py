"""Attention (opsets 23 to 25) with only the masks that a node has: most of them are constants."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_definitions import Definition, Steps, definition
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array

_Q, _K, _V, _MASK, _PAST_KEY, _PAST_VALUE, _LENGTHS = range(7)
"""Operands of Attention."""
_SHORTER_MASKS = 24
"""The opset from which a mask may have fewer keys."""
_UNBOUNDED = -1
"""The size of a window that has none."""


@definition("Attention")
def _attention(step: Definition) -> list[Any]:
    """softmax(scale * Q K' + mask) V. Heads that share keys and values are more rows of one product."""
    do, rows = Steps(step), len(step.shape(_Q)) == 3
    step.take("softmax_precision", 1)
    q_heads, kv_heads = step.take("q_num_heads", 0), step.take("kv_num_heads", 0)
    (q, q_shape), (k, k_shape), (v, v_shape) = (
        _by_head(step, do, operand, heads) for operand, heads in ((_Q, q_heads), (_K, kv_heads), (_V, kv_heads))
    )
    if k_shape[1] < 1 or q_shape[1] % k_shape[1]:
        raise Rejected(f"{q_shape[1]} heads of queries for {k_shape[1]} of keys and values")
    past = 0
    if step.has(_PAST_KEY):
        past = step.shape(_PAST_KEY)[2]
        k, v = (
            do("Concat", step.node.input[operand], new, axis=2) for operand, new in ((_PAST_KEY, k), (_PAST_VALUE, v))
        )
    batch, heads, queries, width = q_shape
    keys, shared = past + k_shape[2], (batch, k_shape[1], heads // k_shape[1] * queries)
    scale = step.take("scale", None) or 1 / sqrt(width)

    def reshaped(name: str, shape: Sequence[int]) -> str:
        return name if heads == k_shape[1] else do("Reshape", name, step.indices("shape", list(shape)))

    product = do("MatMul", reshaped(q, (*shared, width)), do.transpose(k, [0, 1, 3, 2]))
    scores = reshaped(do("Mul", product, step.like("scale", scale)), (batch, heads, queries, keys))
    shown = [scores]
    cap = step.take("softcap", 0.0)
    if cap:
        scores = do("Mul", do("Tanh", do("Div", scores, step.like("cap", cap))), step.like("cap", cap))
    shown.append(scores)
    mask = _Mask(step, do, queries, keys, past)
    scores = mask.applied(scores)
    shown.append(scores)
    shares = do("Softmax", scores, axis=-1)
    guarded = mask.guarded(shares)
    shown.append(guarded)
    mode = step.take("qk_matmul_output_mode", 0)
    if not 0 <= mode < len(shown):
        raise Rejected(f"qk_matmul_output_mode = {mode}")
    asked = len(step.node.output) > 3 and step.node.output[3] != "" and mode == 3
    chosen = guarded if asked else shares
    mixed = do("MatMul", reshaped(chosen, (*shared, keys)), v)
    y = reshaped(mixed, (batch, heads, queries, v_shape[3]))
    y = y if asked else mask.guarded(y)
    if rows:
        y = do("Reshape", do.transpose(y, [0, 2, 1, 3]), step.indices("rows", [batch, queries, heads * v_shape[3]]))
    do.give(y, k, v, shown[mode])
    return do.nodes


def _by_head(step: Definition, do: Steps, operand: int, heads: int) -> tuple[str, tuple[int, ...]]:
    """(value, (batch, heads, positions, width)) of an operand, which may have a row for each position."""
    name, shape = step.node.input[operand], step.shape(operand)
    if len(shape) == 4:
        return name, shape
    if len(shape) != 3 or heads < 1 or shape[2] % heads:
        raise Rejected(f"operand {operand} has the shape {list(shape)}, which {heads} heads don't divide")
    apart = (shape[0], shape[1], heads, shape[2] // heads)
    turned = do.transpose(do("Reshape", name, step.indices("apart", apart)), [0, 2, 1, 3])
    return turned, (apart[0], heads, apart[1], apart[3])


class _Mask:
    """Which keys a query looks at, and what is added to its scores.

    Attributes:
        allowed: bool (queries, keys), perhaps with batches and heads in front: what is known of it.
        conditions: computed values of such a shape, all of which have to be true.
        live: the same of what is false where the sum is -inf.
        added: the value that is added; none if it is empty.
    """

    def __init__(self, step: Definition, do: Steps, queries: int, keys: int, past: int) -> None:
        self.step, self.do = step, do
        self.allowed: Array = np.ones((queries, keys), bool)
        self.conditions, self.live, self.added = list[str](), list[str](), ""
        self._positions(queries, keys, past)
        if step.has(_MASK):
            self._given(keys)

    def applied(self, scores: str) -> str:
        """Scores, -inf where nothing is looked at."""
        step, do = self.step, self.do
        if self.added:
            scores = do("Add", scores, self.added)
        allowed = self._all(self.conditions)
        return do("Where", allowed, scores, step.like("never", -np.inf)) if allowed else scores

    def guarded(self, value: str) -> str:
        """A value with a row for each query: zeros for those that look at nothing."""
        step, do = self.step, self.do
        if self.conditions or self.live:
            some = do.reduce("ReduceMax", self._all([*self.conditions, *self.live]), [-1])
        elif not self.allowed.any(axis=-1).all():
            some = step.constant("some", self.allowed.any(axis=-1, keepdims=True), np.bool_)
        else:
            return value
        return do("Where", some, value, step.like("nothing", 0))

    def _all(self, conditions: Sequence[str]) -> str:
        """That these and what is known are true; empty if there is nothing to ask."""
        step, do = self.step, self.do
        wanted = [*conditions]
        if not self.allowed.all():
            wanted.append(step.constant("allowed", self.allowed, np.bool_))
        result = wanted[0] if wanted else ""
        for other in wanted[1:]:
            result = do("And", result, other)
        return result

    def _positions(self, queries: int, keys: int, past: int) -> None:
        """What follows from the numbers of a query and a key."""
        step, do = self.step, self.do
        causal = bool(step.take("is_causal", 0))
        left, right = (step.take(f"{side}_window_size", _UNBOUNDED) for side in ("left", "right"))
        ahead = np.arange(keys) - np.arange(queries)[:, None]
        bounds = [("LessOrEqual", 0)] if causal else []
        bounds += [("LessOrEqual", right)] if right != _UNBOUNDED else []
        bounds += [("GreaterOrEqual", -left)] if left != _UNBOUNDED else []
        if not step.has(_LENGTHS):
            for kind, limit in bounds:
                self.allowed &= ahead - past <= limit if kind == "LessOrEqual" else ahead - past >= limit
            return
        lengths = do("Reshape", step.node.input[_LENGTHS], step.indices("lengths", [-1, 1, 1, 1]))
        self.conditions.append(do("Less", step.indices("keys", np.arange(keys)), lengths))
        for kind, limit in bounds:
            moved = do("Add", lengths, step.indices("limit", [limit - queries]))
            self.conditions.append(do(kind, step.indices("ahead", ahead), moved))

    def _given(self, keys: int) -> None:
        """Operand 3: bool, or numbers that are added; where it has fewer keys, the others aren't looked at."""
        step = self.step
        shape, dtype = step.shape(_MASK), step.dtype(_MASK)
        broadcast = not shape or (shape[-1] == 1 and step.opset < _SHORTER_MASKS)
        missing = 0 if broadcast else keys - shape[-1]
        if missing:
            self.allowed = self.allowed & (np.arange(keys) < shape[-1])
        try:
            known = step.known(_MASK, "the mask")
        except Rejected:
            self._computed(dtype, (*shape[:-1], missing) if missing else ())
            return
        known = np.pad(known, [(0, 0)] * (known.ndim - 1) + [(0, missing)]) if missing else known
        if dtype == np.bool_:
            self.allowed = self.allowed & known
            return
        never = np.isneginf(known.astype(np.float64))
        self.allowed = self.allowed & ~never
        finite = np.where(never, 0, known)
        self.added = step.like("added", finite) if finite.any() else ""

    def _computed(self, dtype: np.dtype[Any], missing: tuple[int, ...]) -> None:
        """A mask that isn't known.

        Args:
            missing: the shape of what it has no elements for.
        """
        step, do, mask = self.step, self.do, self.step.node.input[_MASK]
        if missing:
            mask = do("Concat", mask, step.constant("missing", np.zeros(missing), dtype), axis=-1)
        if dtype == np.bool_:
            self.conditions.append(mask)
            return
        self.added = mask if dtype == step.dtype() else do.cast(mask, _Q)
        self.live.append(do("Greater", self.added, step.like("never", -np.inf)))
