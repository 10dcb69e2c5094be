"""What every reference says of a sample: the tensors that it expects, and how they are to be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tinycompile.errors import MismatchError
from tinycompile.ir import Array
from tinycompile.trace import TraceRecord

TOLERANCE = 1e-4
"""Of sums of floats, whose order nobody defines, relative to the tensor's largest value. Everything else is exact."""


@dataclass(frozen=True)
class Witness:
    """A program that has a say in the comparison.

    Attributes:
        role: "compared with", or "decides ties".
    """

    name: str
    version: str
    options: str
    role: str = "compared with"


@dataclass(frozen=True, eq=False)
class Expected:
    """A tensor as the firmware has it: its shape, its channels.

    Attributes:
        values: what the reference computed.
        bits: whether every bit counts; else floats may differ by `TOLERANCE`.
        decide: the same tensor with exact sums. It is asked where the firmware is one step beside `values`, and only
            an equal value is right then. None where nothing is left open.
        by: the number of the witness.
    """

    values: Array
    bits: bool = True
    decide: Callable[[], Array | None] | None = None
    by: int = 0


@dataclass(frozen=True, eq=False)
class Reported:
    """A layer's result from the trace build; `entry` is its tensor in the report."""

    index: int
    layer: str
    entry: dict[str, Any]
    record: TraceRecord


class Judged(Protocol):
    """One inference by the reference."""

    def layer(self, entry: dict[str, Any]) -> Expected | None:
        """A layer's tensor; None where the source model doesn't have it."""
        ...

    def output(self, index: int, entry: dict[str, Any]) -> Expected:
        """A model output, found by its place in the model file."""
        ...


class Reference(Protocol):
    """A program that defines the meaning of the source model, and reads the file on its own."""

    @property
    def witnesses(self) -> tuple[Witness, ...]: ...

    def judge(self, inputs: Sequence[Array], reported: Sequence[Reported]) -> Judged:
        """Run one sample, given as the firmware takes it."""
        ...

    def reset(self) -> None:
        """The next sample is the first step of a sequence, where the model has states."""
        ...

    def skipped(self, entries: Sequence[dict[str, Any]]) -> list[str]:
        """Names of the tensors that the source model doesn't have."""
        ...


def shaped(output: Array, entry: dict[str, Any]) -> Array:
    """A model output in the firmware's shape.

    Raises:
        MismatchError: the firmware's has another size.
    """
    shape = tuple(entry["shape"])
    if output.size != np.prod(shape):
        why = f"the file's has {output.size:,} elements, the firmware's is {'x'.join(map(str, shape))}"
        hint = "a head of --classes isn't the file's: verify a build without it"
        raise MismatchError("the model's output has another size", where=entry["name"], why=why, hint=hint)
    return output.reshape(shape)


def dequantized(array: Array, entry: dict[str, Any]) -> Array:
    """The floats that integers of the interface stand for."""
    return ((array.astype(np.float64) - entry["zero_point"]) * entry["scale"]).astype(np.float32)
