"""Where functions saturate: a value beyond makes no difference to what reads it, so its range needn't go there.

A layer in front of a Tanh may give 40, of which 4 is enough: with the whole range its steps are ten times as large.
Where that is, the samples tell, so that any function of one element counts: a sigmoid, and a SiLU on its lower side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.qdq import function_origins

_PART = 1 / 8
"""Of a step of a function's results: what differs by less is the same."""
_STEPS = 255
_LEAST = 1 / 16
"""Part of a tensor's range that has to be beyond an end: else it is chance that the outermost samples are alike."""
_LOOKED_AT = 2**16
"""Elements of a tensor."""


def functions_behind(graph: FloatGraph) -> dict[str, list[str]]:
    """By value that only functions of one element read: those results of theirs that others read."""
    found, origins = dict[str, list[str]](), function_origins(graph)
    for name in dict.fromkeys(origins.values()):
        results = {result for result, origin in origins.items() if origin == name}
        readers = {value: {each for node in graph.consumers(value) for each in node.output} for value in results}
        of_name = {each for node in graph.consumers(name) for each in node.output}
        if of_name <= results and name not in graph.outputs:
            found[name] = [each for each in results if each in graph.outputs or not readers[each] <= results]
    return found


def saturation(x: Array, results: Sequence[Array]) -> tuple[float, float]:
    """(low, high), beyond which no result changes by more than a part of its 8-bit step; infinite where some does.

    Args:
        x: a value in some samples. results: what functions make of it, element by element.
    """
    every = max(1, x.size // _LOOKED_AT)
    flat = x.reshape(-1)[::every]
    order = np.argsort(flat, kind="stable")
    columns = [result.reshape(-1)[::every][order].astype(np.float64) for result in results]
    low = float(flat[order[min(_flat(values) for values in columns) - 1]])
    high = float(flat[order[-min(_flat(values[::-1]) for values in columns)]])
    least = _LEAST * float(np.ptp(flat))
    return low if low - flat.min() > least else -np.inf, high if flat.max() - high > least else np.inf


def _flat(values: Array) -> int:
    """How many values at the beginning are the same."""
    near = _PART * float(np.ptp(values)) / _STEPS
    spread = np.maximum.accumulate(values) - np.minimum.accumulate(values)
    return int(np.searchsorted(spread, near, side="right"))
