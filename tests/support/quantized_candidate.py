"""A QDQ model as tinycompile computes it: what the quantiser's tests compare with the float model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile import interpreter
from tinycompile.errors import FloatIslandWarning
from tinycompile.frontend.onnx import import_places
from tinycompile.frontend.onnx_file import static_model
from tinycompile.frontend.onnx_values import Placed
from tinycompile.ir import Array, Graph
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.measure import sqnr
from tinycompile.quantize.network import Network
from tinycompile.quantize.qdq import QdqModel
from tinycompile.quantize.ranges import Observed, range_of, scale_of
from tinycompile.quantize.survey import surveyed


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


def output_sqnr(candidate: Candidate, reference: Sequence[Array], samples: Sequence[Mapping[str, Array]]) -> float:
    """The worst of the outputs, in dB."""
    pairs = zip(reference, candidate.outputs(samples), strict=True)
    return min(sqnr(a, b.reshape(a.shape)) for a, b in pairs)


def observed_in(graph: FloatGraph, samples: Sequence[Mapping[str, Array]]) -> dict[str, Observed]:
    """The values of all tensors that are quantised."""
    return surveyed(Network(graph, samples), samples)[1]


def parameters_of(observed: Mapping[str, Observed], method: str = "minmax") -> dict[str, tuple[float, int]]:
    """(scale, zero point) of each."""
    return {name: scale_of(*range_of(found, method)) for name, found in observed.items()}
