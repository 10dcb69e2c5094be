"""What a float network would cost as an int8 firmware, before it has been trained or has seen a sample.

Its tensors get typical scales where calibration would find them, so that its graph is that of the quantised model; its
layers are priced with typical weights (`typical.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinycompile.costing import Cost, cost_of
from tinycompile.errors import UsageError
from tinycompile.frontend.onnx import import_model
from tinycompile.frontend.onnx_file import static_model
from tinycompile.ir import Graph
from tinycompile.measuring import Measuring
from tinycompile.options import Options
from tinycompile.passes.io import int8_io
from tinycompile.quantize.assumed import assumed_qdq
from tinycompile.targets import Board

BEST = "best"
"""What the firmware of a search calls its network."""


def typically_quantized(proto: Any, where: str = "the candidate") -> Graph:
    """The int8 graph of a float model, with ranges that are typical and not those of any sample.

    Args:
        proto: a float ModelProto; a batch of any size is 1.

    Raises:
        ModelFileError, UnsupportedError: as for `quantize`.
    """
    quantized = assumed_qdq(static_model(proto, where), where)
    return import_model(static_model(quantized, where), where, where, "model", "islands")


def price(
    proto: Any,
    board: Board,
    options: Options,
    where: str = "the candidate",
    ends: tuple[tuple[int, ...], tuple[int, ...]] | None = None,
    measure: Measuring = "none",
    near: Callable[[Cost], bool] | None = None,
) -> Cost:
    """What a float model would cost, quantised and built.

    Args:
        ends: shapes that its only input and its only output must have, or fewer rows and columns; None for any.
        measure, near: as `cost_of` takes them.

    Raises:
        DoesNotFitError: there is no room for its arena. UsageError: it has other ends. Others as `typically_quantized`.
    """
    graph = typically_quantized(proto, where)
    found = [[graph.types[name].shape for name in names] for names in (graph.inputs, graph.outputs)]
    if ends is not None and not _has(found, ends):
        raise UsageError(
            "the network goes from {} to {}".format(*(", ".join(map(str, shapes)) for shapes in found)),
            where=where,
            why="samples and their classes are from {} to {}".format(*ends),
            hint="a network for the shape and the number of classes that `build` is given",
        )
    graph = int8_io(graph) if options.io == "int8" else graph
    return cost_of(graph, board, options, exact=False, measure=measure, near=near, name=BEST)


def _has(found: list[list[tuple[int, ...]]], ends: tuple[tuple[int, ...], tuple[int, ...]]) -> bool:
    """Whether inputs and outputs are such."""
    inputs, outputs = found
    if outputs != [ends[1]] or len(inputs) != 1 or len(inputs[0]) != len(ends[0]):
        return False
    images = len(ends[0]) == 4
    pairs = list(zip(inputs[0], ends[0], strict=True))
    return all(own == most for own, most in (pairs[:2] if images else pairs)) and all(
        own <= most for own, most in pairs
    )
