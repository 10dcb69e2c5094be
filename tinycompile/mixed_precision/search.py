"""Bits for the layers of an int8 network under a budget: sensitivity, choice, fit, and what came of it.

The choice believes that losses add up. So it is made again with what each layer costs where the others have few bits
already (`repaired`), and the better one of both on the samples to measure with is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinycompile.mixed_precision.choice import Alternative, Choice, choose
from tinycompile.mixed_precision.fitting import LowBits, NewBias, fitted_in_order, spread
from tinycompile.mixed_precision.measure import Measured, Samples
from tinycompile.mixed_precision.network import Network, Parameters
from tinycompile.mixed_precision.prices import alternatives
from tinycompile.mixed_precision.sensitivity import Trial, samples_for, sensitivities
from tinycompile.progress import step
from tinycompile.quantize.low_bits import WeightMethod
from tinycompile.quantize.network import decibels
from tinycompile.targets.core import Core

WIDTHS = (4, 3, 2)
Changes = Mapping[str, LowBits | NewBias]


@dataclass(frozen=True, eq=False)
class Fit:
    """A choice that was fitted.

    Attributes:
        changes: by layer, what its file gets.
        measured: on the samples to measure with.
    """

    choice: Choice
    changes: Changes
    measured: Measured


class Search:
    """An int8 network, its samples, and a core.

    Attributes:
        layers: names of those that may get few bits.
    """

    def __init__(
        self,
        network: Network,
        samples: Samples,
        core: Core,
        layers: Sequence[str],
        widths: Sequence[int] = WIDTHS,
        method: WeightMethod = "learned",
    ) -> None:
        self.network, self.samples, self.core = network, samples, core
        self.layers, self.widths = layers, widths
        self.method: WeightMethod = method

    @cached_property
    def trials(self) -> list[Trial]:
        return self._trials({})

    def _trials(self, replaced: Mapping[str, Parameters]) -> list[Trial]:
        inputs = self.samples.calibration
        count = samples_for(self.network, len(self.layers), len(self.widths))
        few = {name: value[spread(len(value), count)] for name, value in inputs.items()}
        layers = [self.network.layers[name] for name in self.layers]
        return sensitivities(self.network, few, layers, self.widths, replaced=replaced)

    @cached_property
    def alternatives(self) -> dict[str, list[Alternative]]:
        """By layer; those for which fewer bits aren't fewer bytes have 8 alone."""
        step("asking the compiler for bytes and instructions")
        return alternatives(self.network, self.trials, self.core)

    @property
    def at_8_bits(self) -> Choice:
        """Every layer with the fastest kernel for its own weights."""
        own = {name: [a for a in each if a.bits == 8] for name, each in self.alternatives.items()}
        return Choice({name: min(each, key=lambda a: (a.instructions, a.bytes)) for name, each in own.items()})

    @property
    def smallest_8_bits(self) -> int:
        """Bytes of all of these layers with the kernels that need the fewest for 8 bits."""
        return sum(min(a.bytes for a in each if a.bits == 8) for each in self.alternatives.values())

    @property
    def least_bytes(self) -> int:
        """Of all layers that may get few bits."""
        return sum(min(a.bytes for a in each) for each in self.alternatives.values())

    def choice(self, bytes_limit: int, instruction_limit: int | None = None) -> Choice:
        return choose(self.alternatives, bytes_limit, instruction_limit)

    def front(self, points: int) -> list[Choice]:
        """From 8 bits in the fewest bytes to the fewest bits, in equal ratios: the choices of least predicted loss."""
        most, least = self.smallest_8_bits, self.least_bytes
        limits = np.geomspace(most, least, points).astype(np.int64) if most > least else [most]
        return [self.choice(max(int(limit), least)) for limit in limits]

    def fit(self, choice: Choice) -> Fit:
        changes = fitted_in_order(self.network, self.samples.calibration, choice.bits, self.method)
        return Fit(choice, changes, self.samples.measured(self.network, self.parameters(changes)))

    def parameters(self, changes: Changes) -> dict[str, Parameters]:
        return {name: each.parameters(self.network.layers[name]) for name, each in changes.items()}

    def repaired(self, fit: Fit, bytes_limit: int, instruction_limit: int | None = None) -> Fit:
        """The same, or another choice with what layers cost among others with few bits, if it measures better.

        Each layer is tried with every number of bits again, in the network in which the other ones are as fitted.
        """
        step("measuring layers again among layers with few bits")
        found = dict[tuple[str, int], float]()
        parameters = self.parameters(fit.changes)
        for trial in self._trials(parameters):
            found[trial.layer, trial.bits] = trial.noise
        again = {
            name: [replace(a, loss=found.get((name, a.bits), 0.0)) for a in each]
            for name, each in self.alternatives.items()
        }
        other = choose(again, bytes_limit, instruction_limit)
        if other.bits == fit.choice.bits:
            return fit
        second = self.fit(Choice({name: _same(self.alternatives[name], a) for name, a in other.chosen.items()}))
        return max(fit, second, key=lambda each: each.measured.order)

    def predicted(self, choice: Choice) -> float:
        """SQNR in dB, as if losses added up."""
        return decibels(choice.loss)


def _same(known: Sequence[Alternative], wanted: Alternative) -> Alternative:
    """The alternative whose loss was measured alone."""
    return next(a for a in known if replace(a, loss=0.0) == replace(wanted, loss=0.0))
