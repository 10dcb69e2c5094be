"""How well a quantised model follows the float one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.numerics.measures import auc
from tinycompile.quantize.execution import session_of


class FloatSession:
    """Runs a float model sample by sample, with the values one asks for."""

    def __init__(self, model: Any, wanted: Sequence[str]) -> None:
        """Raises ToolMissingError without onnxruntime."""
        clone = type(model)()
        clone.CopyFrom(model)
        del clone.graph.output[:]
        clone.graph.output.extend(onnx_module().ValueInfoProto(name=name) for name in wanted)
        self._session = session_of(clone)
        self.wanted = list(wanted)

    def run(self, sample: Mapping[str, Array]) -> dict[str, Array]:
        if not self.wanted:
            return {}
        results = self._session.run(self.wanted, dict(sample))
        return {name: np.asarray(value) for name, value in zip(self.wanted, results, strict=True)}


def sqnr(reference: Array, value: Array) -> float:
    """Signal to quantisation noise ratio in dB; infinite where nothing differs."""
    signal = float(np.sum(np.square(reference, dtype=np.float64)))
    noise = float(np.sum(np.square(reference.astype(np.float64) - value.astype(np.float64))))
    if noise == 0:
        return float("inf")
    return 10 * float(np.log10(max(signal, 1e-300) / noise))


def float_outputs(model: Any, samples: Sequence[Mapping[str, Array]]) -> list[Array]:
    """The same of a float model."""
    names = [output.name for output in model.graph.output]
    session = FloatSession(model, names)
    rows = [session.run(sample) for sample in samples]
    return [np.stack([row[name] for row in rows]) for name in names]


@dataclass(frozen=True)
class Accuracy:
    """Of the float and of the quantised model on labelled samples: `metric` is "top-1", "pixels" or "AUC"."""

    metric: str
    float_value: float
    int8_value: float


def accuracy(floats: Array, quantized: Array, inputs: Array, labels: Array) -> Accuracy:
    """Top-1 of class scores; the same for a label per pixel; the AUC of the squared error (labels 0, 1) of a model that
    reconstructs its input.

    Args:
        floats, quantized, inputs: (samples, ...).
    """
    if floats[0].size == inputs[0].size and floats[0].size > 1 and set(np.unique(labels)) <= {0, 1}:
        scores = (
            np.square(y.reshape(len(y), -1) - inputs.reshape(len(y), -1)).mean(axis=1) for y in (floats, quantized)
        )
        return Accuracy("AUC", *(auc(score, labels) for score in scores))
    flat = labels.reshape(-1)
    axis = pixel_axis(floats) if labels.size > len(floats) else None
    if axis is not None and labels.size == floats.size // floats.shape[axis]:
        return Accuracy("pixels", *(_share(y.argmax(axis=axis).reshape(-1) == flat) for y in (floats, quantized)))
    return Accuracy("top-1", *(_share(_classes(y) == flat) for y in (floats, quantized)))


def pixel_axis(values: Array) -> int | None:
    """The axis of the scores of (samples, ...) images: the shorter one of those that layouts have for channels."""
    if values.ndim < 4 or min(values.shape[-2:]) == 1:
        return None
    first, last = values.ndim - 3, values.ndim - 1
    return first if values.shape[first] <= values.shape[last] else last


def agreement(floats: Array, quantized: Array) -> float:
    """How often both models choose the same class."""
    return _share(_classes(floats) == _classes(quantized))


@dataclass(frozen=True)
class Choices:
    """How often both models choose the same; `what` says what is chosen."""

    what: str
    same: float


def choices(floats: Array, quantized: Array, inputs: Array) -> Choices | None:
    """None for an output that chooses nothing: a single number, a signal, or the input reconstructed.

    Args:
        floats, quantized, inputs: (samples, ...).
    """
    axis = pixel_axis(floats)
    if floats.shape[0] != quantized.shape[0] or floats[0].size == inputs[0].size:
        return None
    if axis is not None and floats.shape[axis] > 1:
        same = floats.argmax(axis=axis) == quantized.argmax(axis=axis)
        return Choices(f"the largest of the {floats.shape[axis]} scores of a pixel", _share(same))
    sizes = [size for size in floats.shape[1:] if size != 1]
    if len(sizes) != 1:
        return None
    return Choices(f"the largest of the {sizes[0]} outputs", agreement(floats, quantized))


def _classes(scores: Array) -> Array:
    """The class with the highest score of each sample."""
    return scores.reshape(len(scores), -1).argmax(axis=1)


def _share(right: Array) -> float:
    return float(right.mean())
