"""A step of attention over caches of keys and values, as PyTorch exports it, with random weights."""

from __future__ import annotations

import numpy as np
import onnx

from tests.support.onnx_builder import OnnxBuilder

HEADS, TOKENS, SIZE = 2, 6, 4
STATES = {"keys": "keys_next", "values": "values_next"}


WIDTH = HEADS * SIZE


def attention(characters: int = 0) -> onnx.ModelProto:
    """A token's step: its key and value go into the caches; what is behind its position is hidden.

    Args:
        characters: 0: x is a row of floats, and there are 4 outputs; else it is one of so many tokens, and the outputs
            are logits of the next one.
    """
    b, rng = OnnxBuilder(), np.random.default_rng(0)

    def weights(rows: int, columns: int) -> str:
        return b.constant(rng.normal(0, 0.5, (rows, columns)), np.float32)

    if characters:
        x = b.node("Gather", weights(characters, WIDTH), b.input((1,), "int64", "token"))
    else:
        x = b.input((1, WIDTH))
    at = b.input((1,), "int64", "position")
    keys, values = (b.input((HEADS, TOKENS, SIZE), name=name) for name in STATES)
    place, turned = b.node("Unsqueeze", at, b.constant([-1])), {"perm": [1, 0, 2]}
    query, *new = (
        b.node("Reshape", b.node("MatMul", x, weights(WIDTH, WIDTH)), b.constant([HEADS, 1, SIZE])) for _ in range(3)
    )
    cached = [
        b.node(
            "Transpose",
            b.node("ScatterND", *(b.node("Transpose", c, **turned), place, b.node("Transpose", n, **turned))),
            **turned,
        )
        for c, n in zip((keys, values), new, strict=True)
    ]
    half, hidden = (b.constant(number, np.float32) for number in (0.5, -1e4))
    scores = b.node("Mul", b.node("MatMul", query, b.node("Transpose", cached[0], perm=[0, 2, 1])), half)
    later = b.node("Greater", b.constant(np.arange(TOKENS)), at)
    shares = b.node("Softmax", b.node("Where", later, hidden, scores), axis=-1)
    mixed = b.node("Reshape", b.node("MatMul", shares, cached[1]), b.constant([1, WIDTH]))
    b.output(b.node("MatMul", b.node("Add", mixed, x) if characters else mixed, weights(WIDTH, characters or 4)))
    for value, name in zip(cached, STATES.values(), strict=True):
        b.nodes.append(onnx.helper.make_node("Identity", [value], [name]))
        b.output(name)
    return b.model()
