"""Random uses of recurrent layers of floats."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Node, Signature, Site, TensorType
from tinycompile.ops._recurrent import Recurrent

GATES = {"gru": 3, "rnn": 1}


def recurrent_site(op: Recurrent, steps: int = 4, batch: int = 2, inputs: int = 3, outputs: int = 5) -> Site:
    """A layer with random weights: all but the sequence and the state are constant."""
    rows, rng = GATES[op.kind] * outputs, np.random.default_rng(steps + 10 * batch)
    order = (steps, batch) if op.time_major else (batch, steps)
    shapes = [(*order, inputs), (batch, outputs), (rows, inputs), (rows, outputs), (rows,)]
    shapes += [(rows,)] if op.kind == "gru" else []
    types = tuple(TensorType(shape, FLOAT32) for shape in shapes)
    results = tuple(TensorType(shape, dtype) for shape, dtype in op.infer(types))
    weights = [rng.normal(0, 0.4, shape).astype(np.float32) for shape in shapes[2:]]
    names = tuple(f"x{i}" for i in range(len(types)))
    sig = Signature(types, results)
    assert op.unsupported(sig) is None
    return Site(Node("layer", op, names, ("y", "h_next")), sig, (None, None, *weights))
