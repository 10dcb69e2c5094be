"""How well a quantised model follows the float one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile import interpreter
from tinycompile.errors import FloatIslandWarning
from tinycompile.frontend.onnx import import_places
from tinycompile.frontend.onnx_file import static_model
from tinycompile.frontend.onnx_values import Placed
from tinycompile.ir import Array, Graph
from tinycompile.quantize.qdq import QdqModel
from tinycompile.quantize.ranges import FloatSession


def sqnr(reference: Array, value: Array) -> float:
    """Signal to quantisation noise ratio in dB; infinite where nothing differs."""
    signal = float(np.sum(np.square(reference, dtype=np.float64)))
    noise = float(np.sum(np.square(reference.astype(np.float64) - value.astype(np.float64))))
    if noise == 0:
        return float("inf")
    return 10 * float(np.log10(max(signal, 1e-300) / noise))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A QDQ model as tinycompile computes it."""

    model: QdqModel
    graph: Graph
    places: Mapping[str, Placed]

    @staticmethod
    def of(model: QdqModel, where: str, shapes: Mapping[str, tuple[int, ...]]) -> Candidate:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FloatIslandWarning)  # compiling the best one warns
            graph, places = import_places(static_model(model.proto, where, shapes), "model", where, floats="islands")
        return Candidate(model, graph, places)

    def run(self, sample: Mapping[str, Array]) -> dict[str, Array]:
        return interpreter.run(self.graph, dict(sample))

    def outputs(self, samples: Sequence[Mapping[str, Array]]) -> list[Array]:
        """One array (samples, ...) per output."""
        rows = [[values[name] for name in self.graph.outputs] for values in map(self.run, samples)]
        return [np.stack(column) for column in zip(*rows, strict=True)]


def float_outputs(model: Any, samples: Sequence[Mapping[str, Array]]) -> list[Array]:
    """The same of a float model."""
    names = [output.name for output in model.graph.output]
    session = FloatSession(model, names)
    rows = [session.run(sample) for sample in samples]
    return [np.stack([row[name] for row in rows]) for name in names]


def output_sqnr(candidate: Candidate, reference: Sequence[Array], samples: Sequence[Mapping[str, Array]]) -> float:
    """The worst of the outputs, in dB."""
    pairs = zip(reference, candidate.outputs(samples), strict=True)
    return min(sqnr(a, b.reshape(a.shape)) for a, b in pairs)


def layer_sqnr(candidate: Candidate, model: Any, samples: Sequence[Mapping[str, Array]]) -> list[tuple[str, float]]:
    """(tensor, dB) of every quantised tensor against the float model's, the worst first."""
    known = {name for node in model.graph.node for name in node.output}
    names = [n.removesuffix("_quantized") for n in candidate.places if n.removesuffix("_quantized") in known]
    session = FloatSession(model, names)
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for sample in samples:
        floats, values = session.run(sample), candidate.run(sample)
        for name in names:
            got = _real(candidate, candidate.places[f"{name}_quantized"], values)
            if got is not None:
                signal[name] += float(np.sum(np.square(floats[name], dtype=np.float64)))
                noise[name] += float(np.sum(np.square(floats[name].astype(np.float64) - got)))
    ratios = [(n, 10 * float(np.log10(max(signal[n], 1e-300) / noise[n])) if noise[n] else float("inf")) for n in names]
    return sorted(ratios, key=lambda pair: pair[1])


def _real(candidate: Candidate, at: Placed, values: Mapping[str, Array]) -> Array | None:
    """A quantised tensor's real numbers in ONNX's order of axes; None for a row in another order."""
    t = candidate.graph.types[at.name]
    if at.folded is not None or t.quant is None:
        return None
    real = (values[at.name].astype(np.float64) - t.zero_point) * t.scale
    return real.reshape(at.physical_shape).transpose([at.order.index(axis) for axis in range(len(at.order))])


@dataclass(frozen=True)
class Accuracy:
    """Of the float and of the quantised model on labelled samples: `metric` is "top-1" or "AUC"."""

    metric: str
    float_value: float
    int8_value: float


def accuracy(floats: Array, quantized: Array, inputs: Array, labels: Array) -> Accuracy:
    """Top-1 of class scores; for a model that reconstructs its input, the AUC of its squared error (labels 0, 1)."""
    if floats[0].size == inputs[0].size and floats[0].size > 1 and set(np.unique(labels)) <= {0, 1}:
        scores = (
            np.square(y.reshape(len(y), -1) - inputs.reshape(len(y), -1)).mean(axis=1) for y in (floats, quantized)
        )
        return Accuracy("AUC", *(_auc(score, labels) for score in scores))
    flat = labels.reshape(-1)
    return Accuracy("top-1", *(_share(_classes(y) == flat) for y in (floats, quantized)))


def _auc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve: how often an anomaly (1) scores higher than a normal sample; ties count half."""
    positive, negative = scores[labels.ravel() == 1], scores[labels.ravel() == 0]
    if not positive.size or not negative.size:
        return float("nan")
    higher = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
    return float(higher)


def agreement(floats: Array, quantized: Array) -> float:
    """How often both models choose the same class."""
    return _share(_classes(floats) == _classes(quantized))


def _classes(scores: Array) -> Array:
    """The class with the highest score of each sample."""
    return scores.reshape(len(scores), -1).argmax(axis=1)


def _share(right: Array) -> float:
    return float(right.mean())
