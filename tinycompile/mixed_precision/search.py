"""Bits for the layers of a network under a budget: what single layers lose, choices, fits, and what came of them.

The choice believes that losses add up, and that they are what trials said. So what is fitted and measured isn't only
the choice that loses least by them, but the same number of bits for all layers as well, where the budget has room for
it and the choice isn't clearly better with all its layers at once. What measures best is kept, so that choosing never
does worse than not to choose. With channels that may be removed, how many of each class are left is part of the same
choice, and bits without any removal are tried beside both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from tinycompile.errors import DoesNotFitError
from tinycompile.ir import Array
from tinycompile.mixed_precision.channel_classes import Channels, Removed
from tinycompile.mixed_precision.channel_levels import Level, kept_counts, levels
from tinycompile.mixed_precision.channel_prices import ExactPrices, alternatives_without
from tinycompile.mixed_precision.choice import Alternative, Choice, Levels, choose, smallest
from tinycompile.mixed_precision.measure import Measured
from tinycompile.mixed_precision.network import Network
from tinycompile.mixed_precision.prices import alternatives, with_losses
from tinycompile.mixed_precision.sensitivity import samples_of
from tinycompile.progress import step
from tinycompile.quantize import Quantized
from tinycompile.quantize.low_bits import WeightMethod
from tinycompile.quantize.network import decibels
from tinycompile.targets.core import Core

WIDTHS = (4, 3, 2)
_SAMPLES = 2
"""Times as many samples as for few bits: more is fitted to them, and a quarter is kept back."""
_BESIDE_BITS = 2.0
"""What channels lose counts so often beside what bits are said to lose: a whole fit halves that (`expected.py`), while
fits without channels lose what trials say; of ResNet-8, choices of both are worse than those of bits without it."""
_REPAIRS, _HALVINGS = 4, 3
"""How often a choice is made again whose exact bytes or instructions exceed a limit: with less by what it exceeds that,
then halfway to the fewest bytes, and at last with these, which aren't interpolated."""

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

    def few_inputs(self, network: Network, count: int) -> dict[str, Array]:
        """Some calibration samples, as `Network.inputs` makes them of the int8 network's inputs."""
        ...

    def fitted(self, bits: Mapping[str, int], removed: Removed, method: WeightMethod = "learned") -> Fitted:
        """With these bits, without some channels; layers that aren't named have 8."""
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
        channels: that may be removed; None for none. least_removed: how many of them have to go.
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
        channels: Channels | None = None,
        least_removed: int = 0,
    ) -> None:
        self.network, self.model, self.core = network, model, core
        self.layers, self.widths, self.with_code = layers, widths, with_code
        self.channels, self.least_removed = channels, least_removed
        self._fits = dict[frozenset[tuple[str, int]], Fitted]()

    @cached_property
    def priced(self) -> dict[str, list[Alternative]]:
        """By layer, without what they lose, which takes longer to know."""
        step("asking the compiler for bytes and instructions")
        layers, core, code = (self.network, self.layers, self.widths), self.core, self.with_code
        if self.channels is not None:
            return alternatives_without(*layers, core, self.channels, self._kept, with_code=code)
        return alternatives(*layers, core, with_code=code)

    @cached_property
    def alternatives(self) -> dict[str, list[Alternative]]:
        """By layer; those for which fewer bits aren't fewer bytes have 8 alone."""
        noises = self._tried.noises if self.widths else dict[tuple[str, int], float]()
        return with_losses(self.priced, noises, with_code=self.with_code)

    @cached_property
    def _tried(self) -> Tried:
        return self.model.tried(self.layers, self.widths)

    @cached_property
    def _kept(self) -> dict[str, list[int]]:
        """Channels of each level, by class."""
        classes = {} if self.channels is None else self.channels.classes
        return {name: [each.width, *kept_counts(each.width)] for name, each in classes.items()}

    @cached_property
    def levels(self) -> dict[str, list[Level]]:
        """Of the classes of channels that may be removed, with what that loses."""
        if self.channels is None:
            return {}
        count = _SAMPLES * samples_of(self.network, _SAMPLES * sum(map(len, self._kept.values())))
        few = self.model.few_inputs(self.network, count)
        return levels(self.network, few, self.channels)

    @cached_property
    def _exact_prices(self) -> ExactPrices | None:
        if self.channels is None:
            return None
        return ExactPrices(self.network, self.core, self.channels, self._kept)

    def _levels_with(self, losses: Mapping[str, Sequence[float]]) -> Levels | None:
        """As the integer programme takes them; None where all channels stay."""
        if self.channels is None:
            return None
        removed = {name: [each[0] - kept for kept in each] for name, each in self._kept.items()}
        return Levels(losses, removed, self.channels.reads, self.channels.makes, self.least_removed)

    @cached_property
    def _lossy_levels(self) -> Levels | None:
        factor = _BESIDE_BITS if self.widths else 1.0
        return self._levels_with({name: [factor * level.loss for level in each] for name, each in self.levels.items()})

    @cached_property
    def kernels_for_8_bits(self) -> dict[str, list[Alternative]]:
        """With all channels."""
        return {name: _with(each, 8) for name, each in self.priced.items()}

    @property
    def at_8_bits(self) -> Choice:
        """Every layer with all channels and the fastest kernel for its own weights."""
        own = self.kernels_for_8_bits.items()
        return Choice({name: min(each, key=lambda a: (a.instructions, a.bytes)) for name, each in own})

    def size(self, choice: Choice) -> int:
        """Bytes of a choice, as they are counted here."""
        return choice.flash if self.with_code else choice.bytes

    @cached_property
    def smallest_8_bits(self) -> int:
        """Bytes of all of these layers with the kernels that need the fewest for 8 bits and all channels."""
        return self.size(smallest(self.kernels_for_8_bits, with_code=self.with_code))

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
        """The fewest bytes of all layers that may get few bits or lose channels."""
        lossless = {name: [0.0] * len(each) for name, each in self._kept.items()}
        return smallest(self.priced, with_code=self.with_code, levels=self._levels_with(lossless))

    @property
    def most_bytes(self) -> int:
        """Of all layers, with the kernels that need the most."""
        return sum(max(a.alone for a in each) for each in self.priced.values())

    @property
    def least_bytes(self) -> int:
        """Of all layers that may get few bits."""
        return self.size(self.smallest)

    def choice(self, bytes_limit: int, instruction_limit: int | None = None) -> Choice:
        """The least loss within limits. Raises DoesNotFitError.

        What levels of channels cost between those that kernels were asked for is interpolated: the choice is priced
        exactly, and made again with less where it takes too much.
        """
        size, work, code, least = bytes_limit, instruction_limit, self.with_code, self.least_bytes
        for left in reversed(range(_REPAIRS + _HALVINGS + 1)):
            found = choose(self.alternatives, size, work, with_code=code, levels=self._lossy_levels)
            if self._exact_prices is None:
                return found
            exact = self._exact_prices.of(found)
            if self.size(exact) <= bytes_limit and exact.instructions <= (instruction_limit or exact.instructions):
                return exact
            excess = max(0, self.size(exact) - bytes_limit)
            nearer = size - excess if left > _HALVINGS else (size + least) // 2 if left > 1 else least
            size = max(nearer, min(size, least)) if excess else size
            if work is not None and instruction_limit is not None:
                work = min(work, work - (exact.instructions - instruction_limit))
        what = f"no choice was found that takes {bytes_limit:,} bytes and {instruction_limit or 0:,} instructions"
        raise DoesNotFitError(what, hint="allow for more instructions, or some more bytes")

    def removed(self, choice: Choice) -> Removed:
        """Channels that a choice does without."""
        if self.channels is None or not any(choice.levels.values()):
            return Removed()
        gone = {name: self.levels[name][level].gone for name, level in choice.levels.items()}
        return Removed.of(self.channels, gone)

    def kept(self, choice: Choice) -> dict[str, tuple[int, int]]:
        """(channels that are left, of how many) of the classes that lose some."""
        levels = ((name, self._kept[name], level) for name, level in choice.levels.items() if level)
        return {name: (each[level], each[0]) for name, each, level in levels}

    def with_all_channels(self, bytes_limit: int, instruction_limit: int | None = None) -> Choice | None:
        """The choice of bits alone; None where that isn't enough, or channels have to go."""
        if self.least_removed:
            return None
        full = {name: [a for a in each if a.has_all_channels] for name, each in self.alternatives.items()}
        try:
            return choose(full, bytes_limit, instruction_limit, with_code=self.with_code)
        except DoesNotFitError:
            return None

    def uniform(self, bytes_limit: int, instruction_limit: int | None = None) -> Choice | None:
        """The most bits that all layers can have within the limits; None if the fewest are too many."""
        if self.least_removed:
            return None
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
        """The same bits and channels are fitted once."""
        if choice.weights not in self._fits:
            self._fits[choice.weights] = self.model.fitted(choice.bits, self.removed(choice))
        return Fit(choice, self._fits[choice.weights])

    def best(self, bytes_limit: int, instruction_limit: int | None = None) -> Fit:
        """What measures best within the limits.

        Raises:
            DoesNotFitError: there is nothing within them.
        """
        limits = bytes_limit, instruction_limit
        chosen, same = self.choice(*limits), self.uniform(*limits)
        own = self.with_all_channels(*limits) if any(chosen.levels.values()) else chosen
        others = [] if own is None else [own]
        if same is not None and (own is None or not self.widths or self._ahead(own, same) <= CLEAR):
            others.append(same)
        tried = [self.fit(chosen)]
        for choice in others:
            if choice.weights not in {each.choice.weights for each in tried}:
                step("the same bits for all layers" if choice is same else "bits for all channels")
                tried.append(self.fit(choice))
        return max(tried, key=lambda fit: fit.measured.order)

    def _ahead(self, choice: Choice, other: Choice) -> float:
        """By how many dB, before either is fitted."""
        ours, theirs = (self._tried.together(each.bits) for each in (choice, other))
        return decibels(ours) - decibels(theirs)

    def predicted(self, choice: Choice) -> float:
        """SQNR in dB, as if losses added up."""
        return decibels(choice.loss)


def _with(alternatives: Sequence[Alternative], bits: int) -> list[Alternative]:
    """With these bits and all channels; with 8 bits where there are none."""
    full = [a for a in alternatives if a.has_all_channels]
    return [a for a in full if a.bits == bits] or [a for a in full if a.bits == 8]
