"""The model's file with what was learned: a TFLite file like the one before, with other weights and biases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.frontend.tflite_schema import root
from tinycompile.ir import Array, Graph
from tinycompile.ops._training.parameters import RoundedWeights
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.training.learnable import Learnable
from tinycompile.training.step import TrainingStep


def trained_tflite(
    content: bytes, graph: Graph, step: TrainingStep, parameters: Mapping[str, Array], learnable: Learnable
) -> bytes:
    """A file whose predictions are those of the trained model: weights are rounded as its forward pass rounds them.

    Args:
        content: of the model's file. graph: of it, as training began with it.
        parameters: by the names of the trained states.
        learnable: what of the graph was trained.

    Raises:
        UsageError: the file doesn't have a trained layer, or its weights or bias as a constant of its own.
    """
    changed = bytearray(content)
    model: Any = root(changed)  # type: ignore[arg-type] - its buffers are views of it, which can be written
    layers = {node.name: node for node in graph.nodes}
    for layer, operand, values in _learned(step, parameters):
        plain = layers.get(layer)
        if plain is None:
            raise UsageError(
                f"the model's file has no layer {layer!r}",
                why="it was inserted to be trained",
                hint="parameters.npz has all that was learned",
            )
        name = plain.inputs[operand] if operand < len(plain.inputs) else ""
        buffer = _buffer(model, graph, name)
        values = values if buffer is None else learnable.whole(graph, layer, operand, values)
        old = graph.constants.get(name)
        if buffer is None or old is None or buffer.tobytes() != old.tobytes() or values.nbytes != buffer.nbytes:
            what = ("input", "weights", "bias")[operand]
            raise UsageError(
                f"the {what} of layer {layer!r} can't be replaced in the model's file",
                why="it has none, shares them with another tensor, or has them in another form",
                hint="parameters.npz has all that was learned",
            )
        buffer[:] = np.frombuffer(values.tobytes(), np.uint8)
    return bytes(changed)


def _learned(step: TrainingStep, parameters: Mapping[str, Array]) -> Iterator[tuple[str, int, Array]]:
    """(layer, which operand, what it is) of all that was trained."""
    graph, producers = step.graph, step.graph.producers()
    for node in graph.nodes:
        if not isinstance(node.op, TrainedLayer):
            continue
        rounding = producers.get(node.inputs[1])
        if rounding is not None and isinstance(rounding.op, RoundedWeights):
            own = [parameters[n] if n in parameters else graph.constants[n] for n in rounding.inputs]
            yield node.name, 1, rounding.op.evaluate(graph.signature(rounding), own)[0]
        if len(node.inputs) > 2 and node.inputs[2] in parameters:
            yield node.name, 2, node.op.taken(parameters[node.inputs[2]])


def _buffer(model: Any, graph: Graph, name: str) -> Array | None:
    """The bytes of a constant where the file has them, if no other tensor has the same; None if it has none."""
    source = graph.sources.get(name)
    if source is None or source.channels is not None or source.rows is not None:
        return None
    tensors = [subgraph.Tensors(i) for subgraph in _subgraphs(model) for i in range(subgraph.TensorsLength())]
    number: int = model.Subgraphs(0).Tensors(source.index).Buffer()
    if sum(tensor.Buffer() == number for tensor in tensors) != 1 or model.Buffers(number).DataLength() == 0:
        return None
    found: Array = model.Buffers(number).DataAsNumpy()
    return found


def _subgraphs(model: Any) -> Iterator[Any]:
    return (model.Subgraphs(i) for i in range(model.SubgraphsLength()))
