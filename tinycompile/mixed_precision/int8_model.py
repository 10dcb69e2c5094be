"""An int8 TFLite file whose layers get few bits: it keeps all that it has but some weights, scales and biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinycompile.ir import Array
from tinycompile.mixed_precision.channel_classes import Removed
from tinycompile.mixed_precision.fitting import fitted_in_order, spread
from tinycompile.mixed_precision.measure import Samples
from tinycompile.mixed_precision.network import Network
from tinycompile.mixed_precision.search import Fitted, Written
from tinycompile.mixed_precision.sensitivity import samples_of, sensitivities
from tinycompile.mixed_precision.tflite_file import places, rewritten
from tinycompile.quantize.low_bits import WeightMethod


class Int8Model:
    """A file, its network, and samples. The file is what few bits are fitted to and measured by."""

    def __init__(self, content: bytes, network: Network, samples: Samples, description: str = "") -> None:
        self.content, self.network, self.samples, self.description = content, network, samples, description
        self.measured_on = samples.measured_on

    def noises(self, layers: Sequence[str], widths: Sequence[int]) -> Mapping[tuple[str, int], float]:
        few = self.few_inputs(self.network, samples_of(self.network, len(layers) * len(widths)))
        return sensitivities(self.network, few, [self.network.layers[name] for name in layers], widths)

    def few_inputs(self, network: Network, count: int) -> dict[str, Array]:
        return {name: value[spread(len(value), count)] for name, value in self.samples.calibration.items()}

    def fitted(self, bits: Mapping[str, int], removed: Removed, method: WeightMethod = "learned") -> Fitted:
        network = self.network
        changes = fitted_in_order(network, self.samples.calibration, bits, method, removed.reads)
        parameters = {name: each.parameters(network.layers[name]) for name, each in changes.items()}

        def written() -> Written:
            at = places(self.content, network.graph, network.layers)
            kept = {name: change for name, change in changes.items() if name in at}
            return Written(rewritten(self.content, at, network.layers, kept, self.description))

        return Fitted(self.samples.measured(network, parameters), written)
