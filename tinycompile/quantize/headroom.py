"""Ranges with room for the values of weights that are trained later, where a build's code is to be kept.

Only where a later build can't scale values to the ranges: at outputs, around functions such as HardSwish. How much room
is found by measuring: the most that costs no more than `BUDGET`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tinycompile.quantize.alignment import free_classes
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.qdq import RANGES_OF_FUNCTIONS, Parameters
from tinycompile.quantize.ranges import Observed, scale_of

BUDGET = 0.5
"""dB of the worst output's SQNR that all room may cost, on the samples on which ways to quantise are compared."""
_ROOMS = (0.3, 0.27, 0.24, 0.21, 0.18, 0.15, 0.12, 0.1, 0.08, 0.06, 0.04, 0.02, 0.0)
"""On each side, as parts of the range from the smallest to the largest value; 0 is that range itself."""


def roomy(
    graph: FloatGraph, parameters: Parameters, observed: Mapping[str, Observed], measure: Callable[[Parameters], float]
) -> Parameters:
    """Scales and zero points with room, as much for all tensors as possible, then still more for outputs.

    Args:
        parameters: of all quantised tensors, without room.
        observed: the same tensors' values.
        measure: SQNR in dB.
    """
    inside, least = _inside(graph, parameters), measure(parameters) - BUDGET
    found, room = _most(parameters, inside, observed, _ROOMS, lambda tried: measure(tried) >= least)
    outer, larger = [name for name in inside if name in graph.outputs], [each for each in _ROOMS if each > room]
    return _most(found, outer, observed, larger, lambda tried: measure(tried) >= least)[0]


def _inside(graph: FloatGraph, parameters: Parameters) -> list[str]:
    """Tensors whose range follows from the weights, and which no factor can bring back into an older range."""
    free = frozenset[str]().union(*free_classes(graph))
    producers = graph.producers()
    return [
        n for n in parameters if n in producers and n not in free and producers[n].op_type not in RANGES_OF_FUNCTIONS
    ]


def _most(
    parameters: Parameters,
    names: Sequence[str],
    observed: Mapping[str, Observed],
    rooms: Sequence[float],
    good: Callable[[Parameters], bool],
) -> tuple[Parameters, float]:
    """With the most room for all of these tensors that is good, and how much that is; below 0 for none.

    No bisection: which values lie between two steps changes the SQNR up and down by more than a little more room does.
    """
    for room in rooms if names else ():
        tried = dict(parameters) | {name: _widened(parameters[name], observed[name], room) for name in names}
        if good(tried):
            return tried, room
    return parameters, -1.0


def _widened(parameters: tuple[float, int], observed: Observed, room: float) -> tuple[float, int]:
    """At least the range that it has; a tensor that has no negative values, or no positive ones, keeps that."""
    if observed.high <= observed.low:
        return parameters
    scale, zero_point = parameters
    extra = room * (observed.high - observed.low)
    low = min((-128 - zero_point) * scale, observed.low - extra if observed.low < 0 else 0.0)
    high = max((127 - zero_point) * scale, observed.high + extra if observed.high > 0 else 0.0)
    return scale_of(low, high)
