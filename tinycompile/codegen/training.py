"""Where a training step's program has what its functions read and write (docs/training.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tinycompile.dtypes import INT32
from tinycompile.ir import Graph, TensorType
from tinycompile.training.step import TrainingStep, training_of


@dataclass(frozen=True)
class TrainedTensor:
    """Attributes:
    offset: in the memory of states, in bytes. first: of its elements among those of all. count: of elements.
    bytes: of each: 2 for master weights, 4 for biases.
    """

    offset: int
    first: int
    count: int
    bytes: int


@dataclass(frozen=True)
class Accumulated:
    """A parameter that changes by what an accumulator has; offsets in the memory of states."""

    parameter: int
    accumulator: int
    elements: int
    is_bias: bool


@dataclass(frozen=True)
class TrainingMemory:
    """Offsets in the memory of states, in bytes.

    Attributes:
        begin: the layer behind which only training follows.
        keeping: those before it of which a prediction needs nothing.
        label_type: of the label. classes: of how many it is the number; None where it is what the output should be.
        parts: (offset, bytes) of the trained parameters, those that follow one another joined.
        identity: a digest of what they are and begin with.
        tensors: the same parameters, each.
        accumulated: the parameters that `<model>_apply` changes; empty where each step does.
    """

    begin: int
    keeping: frozenset[int]
    label: int
    label_type: TensorType
    rate: int
    loss: int
    classes: int | None
    parts: tuple[tuple[int, int], ...]
    identity: bytes
    tensors: tuple[TrainedTensor, ...]
    accumulated: tuple[Accumulated, ...] = ()

    def predicts(self, layer: int) -> bool:
        """Whether a prediction executes a layer."""
        return layer <= self.begin and layer not in self.keeping

    @property
    def label_bytes(self) -> int:
        return self.label_type.bytes

    @property
    def counts(self) -> list[int]:
        """Of the elements of each tensor."""
        return [tensor.count for tensor in self.tensors]

    @property
    def values(self) -> int:
        return sum(self.counts)

    @property
    def parameter_bytes(self) -> int:
        return sum(size for _, size in self.parts)

    def checkpoint_words(self, source_sha256: str) -> list[int]:
        """What tells checkpoints of this model from others, four words: by the model's file, what is trained of it, and
        what that begins with. Boards and plans don't matter.
        """
        found = hashlib.sha256(source_sha256.encode() + self.identity).digest()
        return [int.from_bytes(found[i : i + 4], "little") for i in range(0, 16, 4)]


def training_memory(graph: Graph, offsets: Mapping[str, int]) -> TrainingMemory | None:
    """Of a planned graph; None where it isn't a training step.

    Args:
        offsets: of values in RAM; those of states in the memory of states.
    """
    step = training_of(graph)
    if step is None:
        return None
    return TrainingMemory(
        step.begin,
        _keeping(step),
        offsets[step.label],
        graph.types[step.label],
        offsets[step.learning_rate],
        offsets[step.loss],
        step.classes,
        _joined((offsets[name], graph.types[name].bytes) for name in step.parameters),
        _identity(step),
        _tensors(step, offsets),
        tuple(
            Accumulated(offsets[name], offsets[to], graph.types[name].elements, graph.types[name].dtype == INT32)
            for name, to in step.accumulators.items()
        ),
    )


def _keeping(step: TrainingStep) -> frozenset[int]:
    nodes, begin = step.graph.nodes, step.begin
    needed, found = set(nodes[begin].inputs), set[int]()
    for index in reversed(range(begin)):
        if needed.isdisjoint(nodes[index].outputs):
            found.add(index)
        else:
            needed.update(nodes[index].inputs)
    return frozenset(found)


def _tensors(step: TrainingStep, offsets: Mapping[str, int]) -> tuple[TrainedTensor, ...]:
    found, first = list[TrainedTensor](), 0
    for name in step.parameters:
        t = step.graph.types[name]
        found.append(TrainedTensor(offsets[name], first, t.elements, t.bytes // t.elements))
        first += t.elements
    return tuple(found)


def _joined(parts: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found = list[tuple[int, int]]()
    for offset, size in parts:
        if found and sum(found[-1]) == offset:
            found[-1] = found[-1][0], found[-1][1] + size
        else:
            found.append((offset, size))
    return tuple(found)


def _identity(step: TrainingStep) -> bytes:
    digest = hashlib.sha256()
    for state in step.graph.states:
        if state.name in step.parameters:
            t = step.graph.types[state.name]
            digest.update(f"{state.name} {t.dtype} {t.shape} ".encode())
            digest.update(t.dtype.pack(state.initial).tobytes())
    return digest.digest()
