"""An int8 file whose layers get few bits: it keeps all that it has but some weights, scales and biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Protocol

from tinycompile.ir import Array
from tinycompile.mixed_precision.channel_classes import Removed
from tinycompile.mixed_precision.fitting import LowBits, NewBias, fitted_in_order, spread
from tinycompile.mixed_precision.measure import Samples
from tinycompile.mixed_precision.network import Network
from tinycompile.mixed_precision.search import Fitted, Written
from tinycompile.mixed_precision.sensitivity import Trials, samples_of, trials
from tinycompile.quantize.low_bits import WeightMethod

_WORK, _LEAST = 4e10, 32
"""Multiply-accumulates of all samples that layers are fitted to, about; samples, at least."""


class File(Protocol):
    """What a network was read from."""

    def rewritten(self, changes: Mapping[str, LowBits | NewBias]) -> bytes:
        """With these layers changed."""
        ...


class Int8Model:
    """A file, its network, and samples. The file is what few bits are fitted to and measured by."""

    def __init__(self, file: File, network: Network, samples: Samples) -> None:
        self.file, self.network, self.samples = file, network, samples
        self.measured_on = samples.measured_on

    def tried(self, layers: Sequence[str], widths: Sequence[int]) -> Trials:
        few = self.few_inputs(self.network, samples_of(self.network, len(layers) * len(widths)))
        return trials(self.network, few, [self.network.layers[name] for name in layers], widths)

    @cached_property
    def _judged(self) -> Samples:
        """With what is to be followed, which is computed once."""
        samples = self.samples
        wanted = samples.reference or self.network.outputs(samples.judged, {}, rounded=True)
        return replace(samples, reference=wanted)

    def few_inputs(self, network: Network, count: int) -> dict[str, Array]:
        return {name: value[spread(len(value), count)] for name, value in self.samples.calibration.items()}

    def fitted(self, bits: Mapping[str, int], removed: Removed, method: WeightMethod = "learned") -> Fitted:
        return self._as_fitted(fitted_in_order(self.network, self._calibration, bits, method, removed.reads))

    def clustered(self, values: Mapping[str, int]) -> Fitted:
        """With so many different weights in each of these layers, at most."""
        return self._as_fitted(fitted_in_order(self.network, self._calibration, {}, clusters=values))

    @property
    def _calibration(self) -> dict[str, Array]:
        return self.few_inputs(self.network, int(max(_LEAST, _WORK // max(1, self.network.graph.macs()))))

    def _as_fitted(self, changes: Mapping[str, LowBits | NewBias]) -> Fitted:
        network = self.network
        parameters = {name: each.parameters(network.layers[name]) for name, each in changes.items()}

        def written() -> Written:
            return Written(self.file.rewritten(changes))

        return Fitted(self._judged.measured(network, parameters), written)
