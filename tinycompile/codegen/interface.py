"""What gives bytes their meaning to a caller: inputs and outputs, as the header and the weights' file say."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT16, INT32, INT64, UINT8
from tinycompile.ir import TensorType

UNQUANTIZED = (1.0, 0)
"""Scale and zero point of a tensor whose numbers are what they stand for."""

DTYPE_CODES = {FLOAT32: 0, INT8: 1, UINT8: 2, INT16: 3, INT32: 4, INT64: 5, BOOL: 6}
"""How the weights' file names element types; the header's enumeration has the same numbers."""

QUANTIZED = (INT8, UINT8, INT16, INT32)
"""Element types whose numbers can stand for real ones."""


@dataclass(frozen=True)
class SourceFacts:
    """What the model's file and the user say of inputs and outputs, which the graph doesn't.

    Attributes:
        inputs, outputs: their names in the file, in order; empty for the graph's.
        layout: order of the axes of 4-D tensors: "NHWC", or "model" for the file's own, where that may be another one.
        ties_even: QUANTIZE rounds halves to even numbers, as in ONNX, and not away from zero, as in TFLite.
        labels: of the classes, in order; empty if none were given.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    layout: str = "NHWC"
    ties_even: bool = False
    labels: tuple[str, ...] = ()


NO_FACTS = SourceFacts()


@dataclass(frozen=True, eq=False)
class Edge:
    """An input or output.

    Attributes:
        kind: "input" or "output". index: among those. name: in the model's file.
        offset: in the arena, in bytes; None for an input that comes row by row.
        layout: "NHWC" or "model" for 4-D tensors, else "".
    """

    kind: str
    index: int
    name: str
    type: TensorType
    offset: int | None
    layout: str

    @property
    def stem(self) -> str:
        """The end of its names in C."""
        return f"{self.kind}_{self.index}"

    @property
    def quantized(self) -> bool:
        return self.type.quant is not None and self.type.quant.is_per_tensor and self.type.dtype in QUANTIZED

    @property
    def limits(self) -> tuple[int, int]:
        return self.type.dtype.range

    @property
    def quantization(self) -> tuple[float, int]:
        """(scale, zero point): a number q stands for scale * (q - zero point)."""
        return (self.type.scale, self.type.zero_point) if self.quantized else UNQUANTIZED

    def record(self) -> bytes:
        """Its 16 bytes in the weights' file: scale, zero point, bytes, element type."""
        scale, zero_point = self.quantization
        return struct.pack("<fiII", scale, zero_point, self.type.bytes, DTYPE_CODES[self.type.dtype])


EDGE_BYTES = 16
"""Of `Edge.record`."""


def edges_of(
    kind: str, tensors: Iterable[tuple[str, TensorType, int | None]], names: Sequence[str], layout: str
) -> tuple[Edge, ...]:
    """Inputs or outputs.

    Args:
        tensors: (name in the graph, type, offset) of each.
        names: those of the file. The graph's are taken where these aren't as many.
    """
    found = list(tensors)
    named = names if len(names) == len(found) else [name for name, *_ in found]
    return tuple(
        Edge(kind, index, name, t, offset, layout if len(t.shape) == 4 else "")
        for index, (name, (_, t, offset)) in enumerate(zip(named, found, strict=True))
    )


def meaning(edges: Iterable[Edge], labels: Sequence[str]) -> str:
    """All of it as text, the same for the same meaning and for nothing else; scales as their bits."""
    facts = [
        (e.kind, e.index, e.name, e.type.dtype.name, list(e.type.shape), e.layout, _quantization_bits(e.type))
        for e in edges
    ]
    return json.dumps([facts, list(labels)])


def changes(old: Iterable[Edge], new: Iterable[Edge], labels: tuple[Sequence[str], Sequence[str]]) -> list[str]:
    """What of the meaning is another one, for a message; of as many edges, with the same shapes and scales.

    Args:
        labels: the old ones, the new ones.
    """
    found = list[str]()
    for a, b in zip(old, new, strict=True):
        for what, before, after in (("name", a.name, b.name), ("layout", a.layout, b.layout)):
            if before != after:
                found.append(f"{what} of {a.kind} {a.index}: {before!r} became {after!r}")
    if list(labels[0]) != list(labels[1]):
        if len(labels[0]) != len(labels[1]):
            found.append(f"labels: {len(labels[0])} became {len(labels[1])}")
        pairs = enumerate(zip(*labels, strict=False))
        found += [f"label {index}: {before!r} became {after!r}" for index, (before, after) in pairs if before != after]
    return found


def _quantization_bits(t: TensorType) -> list[list[int]]:
    if t.quant is None:
        return []
    return [t.quant.scale.astype("<f4").view("<u4").tolist(), t.quant.zero_point.tolist()]


def any_alignment(t: TensorType, const: str = "") -> str:
    """What a pointer to a tensor of the caller points to, with a space: C forbids `float *` that isn't aligned."""
    return f"{const}{t.dtype.ctype if t.dtype.bits <= 8 else 'void'} "


def quantization_text(t: TensorType) -> str:
    if t.quant is None or not t.quant.is_per_tensor:
        return ""
    return f", scale {t.scale:.7g}, zero point {t.zero_point}"
