"""Ranges chosen by what they do to the network's outputs, tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import Array
from tinycompile.progress import step
from tinycompile.quantize.folds import FACTORS, Extremes, best_factor
from tinycompile.quantize.network import Network, Setting
from tinycompile.quantize.ranges import rounded_to

_FEW = 512
"""Elements in a sample below which ranges aren't narrowed: too few of them are in the samples to see what exceeds."""
_GAIN = 0.97
"""A range is changed for three hundredths of the error at least: less is chance."""


@dataclass(frozen=True, eq=False)
class Ranges:
    """Ranges of all tensors that are rounded, in the order in which they are computed.

    Attributes:
        extremes: of each.
        factors: index in `FACTORS` of each.
        chosen: which of the samples of `extremes` a network has.
    """

    extremes: Mapping[str, Extremes]
    factors: Mapping[str, int]
    chosen: Array

    @staticmethod
    def expected(network: Network, extremes: Mapping[str, Extremes], chosen: Array) -> Ranges:
        """Those that fit each tensor best."""
        factors = {name: best_factor(found, network.floats[name], chosen) for name, found in extremes.items()}
        return Ranges(extremes, factors, chosen)

    def parameters(self) -> dict[str, tuple[float, int]]:
        """(scale, zero point) of each."""
        return {name: found.grid(FACTORS[self.factors[name]]) for name, found in self.extremes.items()}

    def unseen(self, setting: Setting) -> Setting:
        """With each sample's scales from samples of other folds."""
        activations = {name: self._grids(name, factor) for name, factor in self.factors.items()}
        return replace(setting, activations=activations)

    def _grids(self, name: str, factor: int) -> tuple[Array, Array]:
        return self.extremes[name].grids(FACTORS[factor], self.chosen)

    def improved(self, network: Network, setting: Setting) -> Ranges:
        """Each range in turn, the last one first, made wider or narrower as long as that makes the outputs better.

        Args:
            setting: weights and biases.
        """
        setting = self.unseen(setting)
        values = network.run(setting)
        noise, factors = network.noise(values), dict(self.factors)
        for number, name in enumerate(reversed(list(self.extremes)), 1):
            step(f"calibrating: range {number} of {len(self.extremes)}")
            inner = network.before(name, values, setting)
            few = inner.size // network.count < _FEW
            tried = {factors[name]: (noise, values)}
            for direction in (-1, 1):
                factor = factors[name]
                while 0 <= factor + direction < len(FACTORS) and not (few and direction < 0):
                    grids = self._grids(name, factor + direction)
                    changed = network.run(
                        setting.with_grid(name, grids), [name], {**values, name: rounded_to(inner, *grids)}
                    )
                    tried[factor + direction] = network.noise(changed), changed
                    if not tried[factor + direction][0] < _GAIN * tried[factor][0]:
                        break
                    factor += direction
            factors[name] = min(tried, key=lambda each: tried[each][0])
            noise, values = tried[factors[name]]
            setting = setting.with_grid(name, self._grids(name, factors[name]))
        return replace(self, factors=factors)


def samples_for(elements: int, tensors: int, count: int) -> int:
    """How many of `count` samples ways to quantise are compared on, so that memory and time stay within bounds.

    Args:
        elements: of all values for one sample.
        tensors: how many of them are rounded.
    """
    within = min(_MOST_WORK // max(1, elements * tensors), _MOST_MEMORY // max(1, elements))
    return int(np.clip(within, min(_FEWEST, count), min(_MOST, count)))


_MOST, _FEWEST = 64, 8
_MOST_WORK = 2 * 10**8
"""Elements times tensors: a second or two of search."""
_MOST_MEMORY = 4 * 10**7
"""Elements: 160 MB for each of the few copies of all values that there are at a time."""
