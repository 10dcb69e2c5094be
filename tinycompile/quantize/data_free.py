"""Quantisation without samples: what values are, the statistics of batch normalisations say.

A batch normalisation knows mean and deviation of each channel that it reads, over all of the training data. So a
network is imagined: random inputs go through it, and each normalisation is given the statistics of what it really reads
of them. What it makes then has the mean and the deviation that the trained network's has, and so has, roughly, all
behind it. Ranges, and roundings and biases of layers, are found in that network and taken over into the given one,
whose layers differ from its by a factor for each channel. The inputs' own mean and deviation are those with which the
first normalisation reads what it did in training.

Sources: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section
4.2.1, takes the statistics for normal distributions, layer by layer; Y. Cai et al., "ZeroQ", CVPR 2020, searches for
inputs with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.frontend.onnx_file import OnnxModel, SourceValue
from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.ir import Array
from tinycompile.quantize.execution import Sample, outputs_of, outputs_together
from tinycompile.quantize.fitting import Fitted
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, attributes_of, output_axis
from tinycompile.quantize.network import Network, Setting
from tinycompile.quantize.prepare import with_known_values
from tinycompile.quantize.ways import Attempt

_COUNT = 32
"""Samples."""
_LEVEL = 0.3
"""Part of the inputs' power that is the level of a whole image: without it means over images hardly differ, and with
0.6 they differ too much (10 nets: 28.0, 30.1, 28.5 dB on average).
"""
_MOST_MEANS = 16
"""Channels of an input whose means are looked for."""
_ALIKE = 1e-3
"""Part by which the weights of a channel differ that are the same but for a factor."""
_FLOOR = 1e-12
_AXES_AS_OPERAND = 18
"""The first opset whose ReduceMean reads its axes."""


@dataclass(frozen=True, eq=False)
class Imagined:
    """A network with other statistics, and samples for it.

    Attributes:
        normalisations: how many there are that said something.
    """

    proto: Any
    samples: list[Sample]
    normalisations: int


def imagined(static: OnnxModel, where: str) -> Imagined:
    """The network whose values on random inputs are like those of the given one on real ones.

    Raises:
        UsageError: an input isn't float.
    """
    for value in static.inputs:
        if value.type_name != "float32":
            raise UsageError(
                f"input {value.name!r} is {value.type_name}, which can't be imagined",
                where=where,
                hint="--calib samples.npz with real inputs",
            )
    graph = with_known_values(static.proto, static.shapes)
    static = replace(static, proto=graph.model(), constants=graph.constants)
    found = _normalisations(static)
    samples = _noise(static.inputs)
    if not found:
        return Imagined(static.proto, samples, 0)
    samples = _as_trained(static, samples, found[0])
    names = [f"{node.output[0]}_{which}" for node in found for which in ("mean", "variance")]
    measured = outputs_together(_measuring(static, found), names, samples, static.shapes)
    proto = type(static.proto)()
    proto.CopyFrom(static.proto)
    for node in proto.graph.node:
        if f"{node.output[0]}_mean" in measured:
            for index, which in ((3, "mean"), (4, "variance")):
                name = f"{node.output[0]}_{which}"
                node.input[index] = f"{name}_imagined"
                value = np.maximum(measured[name].reshape(-1), _FLOOR if index == 4 else -np.inf).astype(np.float32)
                proto.graph.initializer.append(onnx_module().numpy_helper.from_array(value, node.input[index]))
    return Imagined(proto, samples, len(found))


def _normalisations(static: OnnxModel) -> list[Any]:
    """Those with constant statistics, in order."""
    return [
        node
        for node in static.proto.graph.node
        if node.op_type == "BatchNormalization" and all(name in static.constants for name in node.input[1:5])
    ]


def _noise(inputs: Sequence[SourceValue]) -> list[Sample]:
    """Of mean 0 and deviation 1; behind the channels the power falls with the frequency, as in images, and each channel
    of each sample has a level of its own.
    """
    rng = np.random.default_rng(0)
    columns = dict[str, Array]()
    for value in inputs:
        white = rng.normal(0, 1, (_COUNT, *value.shape[1:]))
        axes = tuple(range(2, white.ndim))
        if axes:
            frequencies = np.meshgrid(*(np.fft.fftfreq(white.shape[a]) * white.shape[a] for a in axes), indexing="ij")
            weight = 1 / (1 + np.sqrt(sum(f**2 for f in frequencies)))
            pattern = np.real(np.fft.ifftn(np.fft.fftn(white, axes=axes) * weight, axes=axes))
            level = rng.normal(0, np.sqrt(_LEVEL), (*white.shape[:2], *(1,) * len(axes)))
            white = pattern * np.sqrt(1 - _LEVEL) / max(float(pattern.std()), _FLOOR) + level
        columns[value.name] = white.astype(np.float32)
    return [{name: column[i : i + 1] for name, column in columns.items()} for i in range(_COUNT)]


def _as_trained(static: OnnxModel, samples: list[Sample], first: Any) -> list[Sample]:
    """With the mean and the deviation with which the first normalisation reads what it did in training."""
    read, mean, variance = first.input[0], *(static.constants[name].astype(np.float64) for name in first.input[3:5])
    if len(static.inputs) != 1:
        return samples
    (value,) = static.inputs

    def means(given: Sequence[Sample]) -> Array:
        """(samples, channels) of what the normalisation reads."""
        found = outputs_of(static.proto, [read], given, static.shapes)[read].astype(np.float64)
        return found.reshape(len(given), mean.size, -1).mean(axis=2)

    zero = np.zeros_like(samples[0][value.name])
    offset = means([{value.name: zero}])[0]
    found = outputs_of(static.proto, [read], samples, static.shapes)[read].astype(np.float64)
    spread = np.moveaxis(found.reshape(len(samples), mean.size, -1), 1, 0).reshape(mean.size, -1).var(axis=1)
    scale = float(np.sqrt(np.median(variance / np.maximum(spread, _FLOOR))))
    channels = value.shape[1] if len(value.shape) > 1 else 1
    shift: Array = np.zeros(channels)
    if channels <= _MOST_MEANS:
        ones = [zero.copy() for _ in range(channels)]
        for channel, one in enumerate(ones):
            one[:, channel] = 1
        response = (means([{value.name: one} for one in ones]) - offset).T
        # Means that no channel of the normalisation tells apart are taken for 0.
        damping = 0.01 * float(np.square(response).sum()) / channels + _FLOOR
        moment: Array = response.T @ response + damping * np.eye(channels)
        wanted: Array = response.T @ (mean - offset)
        shift = np.linalg.solve(moment, wanted)
    shaped = shift.reshape(1, -1, *(1,) * (zero.ndim - 2)) if channels <= _MOST_MEANS else np.zeros(1)
    return [{value.name: (scale * sample[value.name] + shaped).astype(np.float32)} for sample in samples]


def _measuring(static: OnnxModel, found: Sequence[Any]) -> Any:
    """The model whose normalisations have the statistics of all that they read, which are results, too."""
    proto = type(static.proto)()
    proto.CopyFrom(static.proto)
    del proto.graph.node[:]
    names = {node.output[0] for node in found}
    for node in static.proto.graph.node:
        if node.op_type == "BatchNormalization" and node.output[0] in names:
            proto.graph.node.extend(_measured(proto, node, len(static.shapes[node.input[0]]), static.opset))
        else:
            proto.graph.node.append(copied(node))
    return proto


def _measured(proto: Any, node: Any, rank: int, opset: int) -> list[Any]:
    """A normalisation in pieces, with statistics over all axes but that of the channels."""
    make, y = onnx_module().helper.make_node, node.output[0]

    def constant(stem: str, value: Array) -> str:
        proto.graph.initializer.append(onnx_module().numpy_helper.from_array(value, f"{y}_{stem}"))
        return f"{y}_{stem}"

    shape = constant("channels", np.array([1, -1, *(1,) * (rank - 2)], np.int64))
    epsilon = constant("epsilon", np.array(attributes_of(node).get("epsilon", 1e-5), np.float32))
    others = [axis for axis in range(rank) if axis != 1]
    newer = opset >= _AXES_AS_OPERAND
    axes = [constant("axes", np.array(others, np.int64))] if newer else []
    options: dict[str, Any] = {} if newer else {"axes": others}
    gamma, beta = (f"{y}_{name}" for name in ("gamma", "beta"))
    return [
        make("Reshape", [node.input[1], shape], [gamma]),
        make("Reshape", [node.input[2], shape], [beta]),
        make("ReduceMean", [node.input[0], *axes], [f"{y}_mean"], keepdims=1, **options),
        make("Sub", [node.input[0], f"{y}_mean"], [f"{y}_centred"]),
        make("Mul", [f"{y}_centred", f"{y}_centred"], [f"{y}_squares"]),
        make("ReduceMean", [f"{y}_squares", *axes], [f"{y}_variance"], keepdims=1, **options),
        make("Add", [f"{y}_variance", epsilon], [f"{y}_power"]),
        make("Sqrt", [f"{y}_power"], [f"{y}_deviation"]),
        make("Div", [f"{y}_centred", f"{y}_deviation"], [f"{y}_normal"]),
        make("Mul", [f"{y}_normal", gamma], [f"{y}_scaled"]),
        make("Add", [f"{y}_scaled", beta], [y]),
    ]


def transferred(attempt: Attempt, graph: FloatGraph, samples: Sequence[Sample]) -> Attempt:
    """What was found for the imagined network, in the given one.

    Args:
        graph: of the given network, prepared as the other one; its layers differ by a factor for each channel.
        samples: any that it takes.
    """
    imagined_graph, fitted = attempt.network.graph, attempt.fitted
    others = {node.output[0]: node for node in imagined_graph.nodes}
    rounded, biases = dict[str, Array](), dict[str, Array]()
    for node in graph.nodes:
        name, other = node.output[0], others.get(node.output[0])
        if node.op_type not in LINEAR or other is None or name not in {*fitted.rounded, *fitted.biases}:
            continue
        factors = _factors(graph, node, imagined_graph, other)
        if factors is None:
            continue
        if name in fitted.rounded:
            rounded[name] = fitted.rounded[name]
        if name in fitted.biases:
            lost = fitted.biases[name] - imagined_graph.constants[other.input[2]].reshape(-1)
            biases[name] = (graph.constants[node.input[2]].reshape(-1) + factors * lost).astype(np.float32)
    found = Fitted(Setting(attempt.parameters), {}, rounded, biases)
    return replace(attempt, network=Network(graph, samples), fitted=found)


def _factors(graph: FloatGraph, node: Any, imagined_graph: FloatGraph, other: Any) -> Array | None:
    """What the imagined layer's channels are multiplied with; None where that isn't all that differs."""
    ours, theirs = graph.constants.get(node.input[1]), imagined_graph.constants.get(other.input[1])
    if ours is None or theirs is None or ours.shape != theirs.shape or ours.ndim < 2:
        return None
    axis = output_axis(node)
    a, b = (np.moveaxis(w, axis, 0).reshape(w.shape[axis], -1).astype(np.float64) for w in (ours, theirs))
    power = np.square(b).sum(axis=1)
    factors = np.where(power > 0, (a * b).sum(axis=1) / np.maximum(power, np.finfo(np.float64).tiny), 1.0)
    off = np.abs(a - factors[:, None] * b).max(axis=1)
    return factors if np.all(off <= _ALIKE * np.abs(a).max(axis=1)) and np.all(factors > 0) else None
