"""A float model whose layers get few bits: tried without any rounding but one layer's, fitted as `quantize` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.mixed_precision.channel_classes import Removed
from tinycompile.mixed_precision.expected import expected
from tinycompile.mixed_precision.measure import Measured
from tinycompile.mixed_precision.network import Network as IntegerNetwork
from tinycompile.mixed_precision.scores import scores_of_onnx
from tinycompile.mixed_precision.search import Fitted, Written
from tinycompile.mixed_precision.sensitivity import COLUMNS, noise, samples_for
from tinycompile.progress import step
from tinycompile.quantize import Calibrated
from tinycompile.quantize.calibration import spread
from tinycompile.quantize.coded import CodedWeights, rows_of
from tinycompile.quantize.fitting import along, has_bias
from tinycompile.quantize.low_bit_layers import parts_of, weight_axis
from tinycompile.quantize.low_bits import DAMPING, WeightMethod
from tinycompile.quantize.network import Network, Setting, Step, decibels
from tinycompile.quantize.ways import Attempt
from tinycompile.quantize.weight_bits import WeightBits
from tinycompile.quantize.windows import windows_of


class FloatModel:
    """A model that was calibrated, with its layers' names.

    Attributes:
        names: of the results of the model's layers, by what the int8 network calls them.
    """

    def __init__(self, calibrated: Calibrated, names: Mapping[str, str], products: int, description: str = "") -> None:
        """Args: products: multiply-accumulates of an inference."""
        self.calibrated, self.names, self.products, self.description = calibrated, names, products, description
        self.measured_on = calibrated.samples.measured_on
        network = calibrated.attempts[0].network
        self._scores = [
            score if score in network.step_of else name
            for score, name in zip(scores_of_onnx(network.graph.model()), network.graph.outputs, strict=True)
        ]

    def tried(self, layers: Sequence[str], widths: Sequence[int]) -> FloatTrials:
        network = self.calibrated.attempts[0].network
        elements = sum(value.size for value in network.floats.values()) // max(1, network.count)
        count = samples_for(elements, self.products, len(layers) * len(widths))
        network = network.on(spread(self.calibrated.samples.calibration, count))
        found = FloatTrials(network, self._scores, self.names, {}, {})
        for layer in layers:
            step(f"trying {layer} with {', '.join(map(str, widths))} bits")
            found.add(layer, widths)
        return found

    def few_inputs(self, network: IntegerNetwork, count: int) -> dict[str, Array]:
        samples = spread(self.calibrated.samples.calibration, count)
        return network.inputs({name: np.stack([sample[name] for sample in samples]) for name in network.graph.inputs})

    def fitted(self, bits: Mapping[str, int], removed: Removed, method: WeightMethod = "learned") -> Fitted:
        named = {self.names[layer]: each for layer, each in bits.items()}
        calibrated = self._without(removed) if removed else self.calibrated
        attempt = calibrated.with_bits(WeightBits(named, method=method)) if named else None
        quantized = calibrated.written([] if attempt is None else [attempt])

        def written() -> Written:
            quantized.proto.producer_name = self.description
            return Written(bytes(quantized.proto.SerializeToString()), quantized)

        accuracy = quantized.accuracy
        measured = Measured(
            self._judged(attempt or calibrated.attempts[0]),
            None if quantized.choices is None else quantized.choices.same,
            None if accuracy is None else (accuracy.float_value, accuracy.int8_value),
        )
        return Fitted(measured, written)

    def _without(self, removed: Removed) -> Calibrated:
        """The model without these channels."""
        by_result = (
            {self.names[layer]: gone for layer, gone in each.items()} for each in (removed.reads, removed.makes)
        )
        return self.calibrated.without_channels(*by_result)

    def _judged(self, attempt: Attempt) -> float:
        """SQNR of the worst score in dB, with all roundings, on samples that calibration hasn't seen."""
        own = self.calibrated.attempts[0].network  # of the model with all channels
        samples = spread(self.calibrated.samples.judged, min(attempt.network.count, own.count))
        network, own = attempt.network.on(samples), own.on(samples)
        values = network.run(replace(attempt.fitted.setting, activations=attempt.parameters))
        return decibels(noise(_values_of(own, self._scores, own.floats), _values_of(network, self._scores, values)))


def _values_of(network: Network, names: Sequence[str], values: Mapping[str, Array]) -> list[Array]:
    """(samples, elements) each."""
    found = [values[name] for name in names]
    return [each.reshape(network.count, -1) if each.size % network.count == 0 else each for each in found]


@dataclass(frozen=True, eq=False)
class FloatTrials:
    """Layers of a float network that were given few bits, one at a time.

    Attributes:
        scores: the values that are looked at. names: as `FloatModel.names`.
        noises: by layer and bits. rounded: the weights that were tried.
    """

    network: Network
    scores: Sequence[str]
    names: Mapping[str, str]
    noises: dict[tuple[str, int], float]
    rounded: dict[tuple[str, int], CodedWeights]

    @cached_property
    def _steps(self) -> dict[str, Step]:
        return {each.result: each for each in self.network.steps if each.layer is not None}

    def add(self, name: str, widths: Sequence[int]) -> None:
        """Try a layer."""
        network, layer = self.network, self._steps[self.names[name]]
        node, weights = network.producers[layer.result], network.constant((layer.result, 1))
        axis = weight_axis(node, weights)
        rows = rows_of(weights, axis, parts_of(node))
        moment, damping = _moment(node, weights, network.floats[node.input[0]], rows)
        for bits in widths:
            tried, part = expected(rows, moment, bits, damping)
            coded = CodedWeights.of(tried, weights.shape, axis, None, "expected")
            setting = Setting({}, {(layer.result, 1): coded.weights})
            result = network.compute(layer, network.floats, setting)
            if has_bias(network, node):
                result = result + _shift(network.floats[layer.result], result)
            values = network.run(setting, [layer.result], {**network.floats, layer.result: result})
            self.noises[name, bits] = part * self._noise(values)
            self.rounded[name, bits] = coded

    def together(self, bits: Mapping[str, int]) -> float:
        """The noise of many layers, with the weights that were tried, whose mean errors nothing makes up for."""
        replaced = {
            (self._steps[self.names[name]].result, 1): self.rounded[name, each].weights for name, each in bits.items()
        }
        return self._noise(self.network.run(Setting({}, replaced)))

    def _noise(self, values: Mapping[str, Array]) -> float:
        network, scores = self.network, self.scores
        return noise(_values_of(network, scores, network.floats), _values_of(network, scores, values))


def _moment(layer: Any, weights: Array, x: Array, rows: Array) -> tuple[Array, float]:
    """(moment, damping) for `fit_weights` of what a layer reads; without windows all count alike."""
    windows = windows_of(layer, weights, x)
    if windows is None:
        parts, _, depth = rows.shape
        return np.broadcast_to(np.eye(depth, dtype=np.float32), (parts, depth, depth)), DAMPING
    windows = windows[..., :: max(1, windows.shape[2] // COLUMNS)]
    windows = windows - windows.mean(axis=2, keepdims=True)
    columns = windows.shape[2]
    return windows @ windows.swapaxes(1, 2) / np.float32(columns), max(DAMPING, rows.shape[2] / columns)


def _shift(wanted: Array, result: Array) -> Array:
    """What a bias makes up for: the mean difference of each channel."""
    axis = 1 if result.ndim > 2 else result.ndim - 1
    shift = (wanted - result).mean(axis=tuple(at for at in range(result.ndim) if at != axis))
    return along(shift.astype(np.float32), axis, result.ndim)
