"""Bits for the layers of a network under a budget: what single layers lose, choices, fits, and what came of them.

The choice believes that losses add up, and that they are what trials said. So what is fitted and measured isn't only
the choice that loses least by them, but the same number of bits for all layers as well, where the budget has room for
it and the choice isn't clearly better with all its layers at once. What measures best is kept, so that choosing never
does worse than not to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from tinycompile.errors import DoesNotFitError
from tinycompile.mixed_precision.choice import Alternative, Choice, choose, smallest
from tinycompile.mixed_precision.measure import Measured
from tinycompile.mixed_precision.network import Network
from tinycompile.mixed_precision.prices import alternatives, with_losses
from tinycompile.progress import step
from tinycompile.quantize import Quantized
from tinycompile.quantize.low_bits import WeightMethod
from tinycompile.quantize.network import decibels
from tinycompile.targets.core import Core

WIDTHS = (4, 3, 2)

CLEAR = 2.0
"""dB between two choices with weights that are rounded on their own, from which on a fit doesn't turn them round."""


@dataclass(frozen=True, eq=False)
class Written:
    """A file with few bits.

    Attributes:
        quantized: where it was made of a float model.
    """

    content: bytes
    quantized: Quantized | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """Layers that were given their bits.

    Attributes:
        measured: on samples that the fit hasn't seen.
        written: makes the file.
    """

    measured: Measured
    written: Callable[[], Written]


class Tried(Protocol):
    """Layers that were given few bits, one at a time."""

    @property
    def noises(self) -> Mapping[tuple[str, int], float]:
        """Power of the scores' error as a part of their own with few bits in one layer alone; by layer and bits."""
        ...

    def together(self, bits: Mapping[str, int]) -> float:
        """The same of many layers, with the weights that were tried, which nothing was fitted for."""
        ...


class Model(Protocol):
    """What layers are tried in and fitted for, by the names of the int8 network's layers."""

    measured_on: str
    """Which samples, in words."""

    def tried(self, layers: Sequence[str], widths: Sequence[int]) -> Tried:
        """Each of these layers with each number of bits."""
        ...

    def fitted(self, bits: Mapping[str, int], method: WeightMethod = "learned") -> Fitted:
        """With these bits; layers that aren't named have 8."""
        ...


@dataclass(frozen=True, eq=False)
class Fit:
    """A choice that was fitted."""

    choice: Choice
    fitted: Fitted

    @property
    def measured(self) -> Measured:
        return self.fitted.measured


class Search:
    """A model, the int8 network that its firmware computes, and a core.

    Attributes:
        layers: names of those that may get few bits.
        with_code: bytes are those of constants and of the functions that read them, else of constants alone.
    """

    def __init__(
        self,
        network: Network,
        model: Model,
        core: Core,
        layers: Sequence[str],
        widths: Sequence[int] = WIDTHS,
        *,
        with_code: bool = False,
    ) -> None:
        self.network, self.model, self.core = network, model, core
        self.layers, self.widths, self.with_code = layers, widths, with_code
        self._fits = dict[frozenset[tuple[str, int]], Fitted]()

    @cached_property
    def priced(self) -> dict[str, list[Alternative]]:
        """By layer, without what they lose, which takes longer to know."""
        step("asking the compiler for bytes and instructions")
        return alternatives(self.network, self.layers, self.widths, self.core, with_code=self.with_code)

    @cached_property
    def alternatives(self) -> dict[str, list[Alternative]]:
        """By layer; those for which fewer bits aren't fewer bytes have 8 alone."""
        return with_losses(self.priced, self._tried.noises, with_code=self.with_code)

    @cached_property
    def _tried(self) -> Tried:
        return self.model.tried(self.layers, self.widths)

    @cached_property
    def _at_8_bits(self) -> dict[str, list[Alternative]]:
        return {name: [a for a in each if a.bits == 8] for name, each in self.priced.items()}

    @property
    def at_8_bits(self) -> Choice:
        """Every layer with the fastest kernel for its own weights."""
        own = self._at_8_bits.items()
        return Choice({name: min(each, key=lambda a: (a.instructions, a.bytes)) for name, each in own})

    def size(self, choice: Choice) -> int:
        """Bytes of a choice, as they are counted here."""
        return choice.flash if self.with_code else choice.bytes

    @cached_property
    def smallest_8_bits(self) -> int:
        """Bytes of all of these layers with the kernels that need the fewest for 8 bits."""
        return self.size(smallest(self._at_8_bits, with_code=self.with_code))

    @property
    def weights(self) -> int:
        """How many these layers have, each a byte with 8 bits; biases and factors are further bytes, which stay."""
        return sum(self.network.layers[name].own.weights.size for name in self.layers)

    def bytes_with(self, part: float) -> int:
        """Bytes of all of these layers if their weights take such a part of what they take with 8 bits."""
        return self.smallest_8_bits - int((1 - part) * self.weights)

    def part_with(self, taken: int) -> float:
        """The part that weights take where all of these layers take so many bytes."""
        return 1 - (self.smallest_8_bits - taken) / max(1, self.weights)

    @cached_property
    def smallest(self) -> Choice:
        """The fewest bytes of all layers that may get few bits."""
        return smallest(self.priced, with_code=self.with_code)

    @property
    def least_bytes(self) -> int:
        """Of all layers that may get few bits."""
        return self.size(self.smallest)

    def choice(self, bytes_limit: int, instruction_limit: int | None = None) -> Choice:
        """The least loss within limits. Raises DoesNotFitError."""
        return choose(self.alternatives, bytes_limit, instruction_limit, with_code=self.with_code)

    def uniform(self, bytes_limit: int, instruction_limit: int | None = None) -> Choice | None:
        """The most bits that all layers can have within the limits; None if the fewest are too many."""
        for bits in (8, *self.widths):
            only = {name: _with(each, bits) for name, each in self.alternatives.items()}
            try:
                return choose(only, bytes_limit, instruction_limit, with_code=self.with_code)
            except DoesNotFitError:
                continue
        return None

    def front(self, points: int) -> list[Choice]:
        """From 8 bits in the fewest bytes to the fewest bits, in equal ratios: the choices of least predicted loss."""
        most, least = self.smallest_8_bits, self.least_bytes
        limits = np.geomspace(most, least, points).astype(np.int64) if most > least else [most]
        return [self.choice(max(int(limit), least)) for limit in limits]

    def fit(self, choice: Choice) -> Fit:
        """The same bits are fitted once."""
        bits = frozenset(choice.bits.items())
        if bits not in self._fits:
            self._fits[bits] = self.model.fitted(choice.bits)
        return Fit(choice, self._fits[bits])

    def best(self, bytes_limit: int, instruction_limit: int | None = None) -> Fit:
        """What measures best within the limits.

        Raises:
            DoesNotFitError: there is nothing within them.
        """
        chosen, same = self.choice(bytes_limit, instruction_limit), self.uniform(bytes_limit, instruction_limit)
        if same is None or same.bits == chosen.bits or self._ahead(chosen, same) > CLEAR:
            return self.fit(chosen)
        tried = [self.fit(chosen)]
        step("the same bits for all layers")
        tried.append(self.fit(same))
        return max(tried, key=lambda fit: fit.measured.order)

    def _ahead(self, choice: Choice, other: Choice) -> float:
        """By how many dB, before either is fitted."""
        ours, theirs = (self._tried.together(each.bits) for each in (choice, other))
        return decibels(ours) - decibels(theirs)

    def predicted(self, choice: Choice) -> float:
        """SQNR in dB, as if losses added up."""
        return decibels(choice.loss)


def _with(alternatives: Sequence[Alternative], bits: int) -> list[Alternative]:
    """With these bits; with 8 where there are none."""
    return [a for a in alternatives if a.bits == bits] or [a for a in alternatives if a.bits == 8]
