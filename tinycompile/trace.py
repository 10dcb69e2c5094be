"""What a build with TC_TRACE reports: every layer's result, whole or in rows as they are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinycompile.errors import ToolFailedError


@dataclass(frozen=True, eq=False)
class TraceRecord:
    """One tensor that a layer computed during one inference.

    Attributes:
        instructions: since the results before it; 0 where they aren't counted.
    """

    layer: int
    data: bytes
    instructions: int


@dataclass(frozen=True, eq=False)
class TracePart:
    """What one call of the trace reports: a tensor, or rows of one, of which the first is at `offset` bytes.

    A part of no bytes at offset 0 only says that instructions were the layer's.
    """

    layer: int
    offset: int
    data: bytes
    instructions: int = 0


def tensors(parts: Iterable[TracePart]) -> list[TraceRecord]:
    """Whole tensors in the order of the layers; those of one inference.

    Raises:
        ToolFailedError: rows of a tensor are missing, or came twice.
    """
    found = dict[int, list[tuple[bytearray, list[int]]]]()
    for part in parts:
        of_layer = found.setdefault(part.layer, [])
        if part.offset == 0 and not (of_layer and not of_layer[-1][0]):
            of_layer.append((bytearray(), []))
        if not of_layer or len(of_layer[-1][0]) != part.offset:
            raise ToolFailedError(
                "the trace is incomplete",
                where=f"layer {part.layer}",
                why=f"rows at byte {part.offset} came after {len(of_layer[-1][0]) if of_layer else 0} bytes",
            )
        of_layer[-1][0].extend(part.data)
        of_layer[-1][1].append(part.instructions)
    return [
        TraceRecord(layer, bytes(data), sum(instructions))
        for layer in sorted(found)
        for data, instructions in found[layer]
    ]
