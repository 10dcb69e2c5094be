"""What a comparison found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.verify.clipping import Clipping
from tinycompile.verify.reference import Witness
from tinycompile.verify.tensors import Compared


@dataclass(frozen=True, eq=False)
class Difference:
    """The first deviation in execution order.

    Attributes:
        number: of the layer; None for an output of the plain firmware.
        count: values that differ, of `size` that were computed.
    """

    sample: int
    number: int | None
    layer: str
    tensor: str
    shape: tuple[int, ...]
    dtype: str
    index: tuple[int, ...]
    expected: float
    got: float
    count: int
    size: int

    @staticmethod
    def of(found: Compared) -> Difference:
        index = tuple(int(i) for i in np.argwhere(found.differing)[0])
        return Difference(
            sample=found.sample,
            number=found.layer,
            layer=found.name,
            tensor=found.tensor,
            shape=found.got.shape,
            dtype=str(found.got.dtype),
            index=index,
            expected=found.expected[index].item(),
            got=found.got[index].item(),
            count=found.differences,
            size=found.values,
        )

    def describe(self, label: str = "") -> str:
        """For people, with the layer's short name in front of the model file's where that is known."""
        layer = f"{label} ({self.layer!r})" if label and label != self.layer else repr(self.layer)
        return (
            f"sample {self.sample}, layer {layer}, tensor {self.tensor!r}: {self.count} of {self.size} values "
            f"differ, first at {list(self.index)}: expected {self.expected}, got {self.got}"
        )


@dataclass
class LayerCount:
    """What was compared of one layer, or of one output of the plain firmware, over all samples."""

    name: str
    tensors: int = 0
    values: int = 0
    differences: int = 0
    ties: int = 0
    bounded: int = 0
    error: float = 0.0
    by: int = 0

    def add(self, found: Compared) -> None:
        self.tensors += 1
        self.values += found.values
        self.differences += found.differences
        self.ties += found.verdict.ties
        self.bounded += found.verdict.bounded
        self.error = max(self.error, found.verdict.error)
        self.by = max(self.by, found.by)


@dataclass(frozen=True, eq=False)
class Verification:
    """The result of `verify`.

    Attributes:
        skipped: tensors that the source model doesn't have.
        difference: the first one.
        witnesses: what was asked, in the order of `LayerCount.by`.
        clipping: what real samples say of the ranges; None where that wasn't asked.
    """

    samples: int
    layers: tuple[LayerCount, ...]
    skipped: tuple[str, ...]
    difference: Difference | None
    witnesses: tuple[Witness, ...]
    clipping: Clipping | None = None

    @property
    def ties(self) -> int:
        """Values one step beside the reference that equal the exact sum."""
        return sum(layer.ties for layer in self.layers)

    @property
    def bounded(self) -> int:
        """Floats that aren't equal, within the bound."""
        return sum(layer.bounded for layer in self.layers)

    @property
    def error(self) -> float:
        """The largest relative deviation of floats that needn't be equal."""
        return max((layer.error for layer in self.layers), default=0.0)

    @property
    def tensors(self) -> int:
        return sum(layer.tensors for layer in self.layers)

    @property
    def values(self) -> int:
        return sum(layer.values for layer in self.layers)

    @property
    def differences(self) -> int:
        return sum(layer.differences for layer in self.layers)
