"""The intermediate representation: what a model is, between any frontend and the C that comes out.

A `Graph` is a tuple of `Node`s in execution order; the order is the schedule. Values are named; `types` says
what each one is, `constants` holds the known ones. Quantisation lives in the tensor type, so that an operator
finds everything that fixes its arithmetic in its `Signature` and its attributes. Nothing here is ever mutated: a
pass is a function `Graph -> Graph`.

Layouts: images are NHWC with N = 1, convolution weights OHWI, depthwise weights (1, kh, kw, C_out),
fully connected weights (C_out, C_in).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, ClassVar, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from tinycompile.access import Access, Given, Whole
from tinycompile.dtypes import DType
from tinycompile.errors import TinycompileError
from tinycompile.numerics.latitude import Latitude

Array = NDArray[Any]

MAX_TENSOR_BYTES = 1 << 28
"""Of any tensor, and of any array that is allocated by sizes that a file says: no microcontroller has more memory."""

MAX_RAM_BYTES = 1 << 25
"""Of a tensor that isn't a constant of the file: what the largest external memories have. Kernels and planner look at
every element of what is in RAM: its size bounds their time and memory.
"""


class ImpossibleSizeError(TinycompileError, ValueError):
    """Sizes of a tensor that nothing holds. They come from files: as shapes, as attributes, as products of both."""


def bounded(shape: Sequence[int], bits: int = 8, limit: int = MAX_TENSOR_BYTES) -> tuple[int, ...]:
    """A shape that a tensor can have, for all who make one by sizes that a file says: to be asked before an allocation.

    Args:
        bits: of an element.
        limit: bytes.

    Raises:
        ImpossibleSizeError: a negative size, or more bytes.
    """
    elements = 1
    for n in shape:
        elements *= max(n, 1)  # beside a size of 0, too, others are sizes of arrays
        if n < 0 or elements * bits > 8 * limit:
            text = "x".join(map(str, shape))
            why = f"it would have more than {limit:,} bytes" if n >= 0 else "a size is negative"
            raise ImpossibleSizeError(f"no tensor has the shape {text}: {why}")
    return tuple(shape)


@dataclass(frozen=True, eq=False)
class Quantization:
    """Affine quantisation, real = scale * (q - zero_point).

    Attributes:
        scale: float32, shape (1,) per tensor or (C,) per channel; (C, blocks) where each block of a row has its own.
        zero_point: int64, same shape as `scale`.
        axis: the channel axis; None per tensor.
        block: elements of the last axis that share a scale, the last ones perhaps fewer; None if all of a channel do.
    """

    scale: Array
    zero_point: Array
    axis: int | None = None
    block: int | None = None

    @staticmethod
    def per_tensor(scale: float, zero_point: int) -> Quantization:
        return Quantization(np.array([scale], np.float32), np.array([zero_point], np.int64))

    @property
    def is_per_tensor(self) -> bool:
        return self.scale.size == 1

    def same_as(self, other: Quantization | None) -> bool:
        """Equal scale and zero point, bit for bit."""
        return (
            other is not None
            and self.block == other.block
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


@dataclass(frozen=True, eq=False)
class TensorType:
    """Shape, element type, quantisation. Raises ImpossibleSizeError."""

    shape: tuple[int, ...]
    dtype: DType
    quant: Quantization | None = None

    def __post_init__(self) -> None:
        bounded(self.shape, self.dtype.bits)

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bits(self) -> int:
        return self.elements * self.dtype.bits

    @property
    def bytes(self) -> int:
        """Of a buffer: `bits`, rounded up."""
        return self.dtype.bytes_for(self.elements)

    @property
    def scale(self) -> float:
        """The per-tensor scale as a Python float (exactly the stored float32)."""
        return float(self._per_tensor().scale[0])

    @property
    def zero_point(self) -> int:
        return int(self._per_tensor().zero_point[0])

    def mismatch(self, values: Array) -> str | None:
        """Why an array isn't a value of this type, in words: it has another shape, or other elements."""
        if values.shape != self.shape:
            return f"the shape {'x'.join(map(str, values.shape))}"
        return self.dtype.mismatch(values)

    def _per_tensor(self) -> Quantization:
        if self.quant is None or not self.quant.is_per_tensor:
            raise ValueError(f"{self} has no per-tensor quantisation")
        return self.quant

    def __str__(self) -> str:
        return f"{self.dtype}[{'x'.join(map(str, self.shape))}]"


@dataclass(frozen=True, eq=False)
class Signature:
    """The types of a node's operands and results: with the op's attributes, all that fixes its arithmetic."""

    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]

    @property
    def input(self) -> TensorType:
        return self.inputs[0]

    @property
    def output(self) -> TensorType:
        return self.outputs[0]


class Op(ABC):
    """An operator: its attributes are the fields of a frozen dataclass, its methods are its rules.

    The class docstring is the user-facing support rule printed in SUPPORTED_OPS.md.
    """

    kind: ClassVar[str]
    """Lower-case standard name, e.g. "conv2d"; also the stem of the op's files."""

    @abstractmethod
    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        """(shape, element type) of each output. Raises ValueError where the operands contradict each other."""

    @abstractmethod
    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The meaning of the operator, in NumPy: the definition that the generated C must match bit for bit."""

    def unsupported(self, sig: Signature) -> str | None:
        """None if the node can be compiled, otherwise the reason in words a user understands."""
        return None

    @property
    def title(self) -> str:
        """What people call it: its kind, or those of the parts that it was fused from."""
        return self.kind

    @property
    def updates(self) -> Mapping[int, int]:
        """By its number, the operand in whose memory a result may be, exactly there: every kernel reads first what it
        needs of it.
        """
        return {}

    def macs(self, sig: Signature) -> int:
        """Multiply-accumulates of one execution, padding included (the usual nominal count)."""
        return 0

    def access(self, sig: Signature, operand: int) -> Access:
        """What the output reads of an operand: all that execution by rows or patches needs to know. An operator without
        operands is asked for operand 0.
        """
        return Whole()

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op | None:
        """This operator for a part of its output. What it pads with is in memory, filled with its access's `fill`.
        Asked only where an access tells positions apart; to be said where attributes depend on the output's size.

        Args:
            sizes: positions of the part along each axis; None for all, with the operator's own padding.

        Returns:
            None where there is no such operator.
        """
        return self


@dataclass(frozen=True, eq=False)
class Node:
    """One operator application. `name` is unique in the graph and comes from the source model."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Source:
    """Where a value comes from in the source model: it equals tensor `index`, or only `channels` of its last axis, or
    only rows: (the axis, the first of them, how many the tensor has).
    """

    index: int
    name: str
    channels: Array | None = None
    rows: tuple[int, int, int] | None = None


@dataclass(frozen=True, eq=False)
class State:
    """Memory that survives a step: the value `name` is `initial` in the first step, then what `next` was in the one
    before. All states advance at once, after the last node: `next` may be any value, another state's as well.

    Attributes:
        initial: of the shape of both values, in the carrier of their element type.
    """

    name: str
    initial: Array
    next: str


@dataclass(frozen=True, eq=False)
class Graph:
    """A model: what one inference, or step, computes.

    Attributes:
        states: what a step takes over from the one before; LSTM cells, ring buffers, caches, variables.
        sources: maps the values that exist unchanged in the source model to their tensors there.
        notes: what a user might want to know of how the file was read.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    types: Mapping[str, TensorType]
    constants: Mapping[str, Array]
    sources: Mapping[str, Source] = field(default_factory=lambda: dict[str, Source]())
    states: tuple[State, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def given(self) -> tuple[str, ...]:
        """The values that are there when a step begins: inputs and states."""
        return (*self.inputs, *(state.name for state in self.states))

    @property
    def results(self) -> tuple[str, ...]:
        """The values that somebody wants when a step is over: outputs, and what the states become."""
        return (*self.outputs, *(state.next for state in self.states))

    def signature(self, node: Node) -> Signature:
        return Signature(
            tuple(self.types[name] for name in node.inputs), tuple(self.types[name] for name in node.outputs)
        )

    def is_given(self, node: Node) -> bool:
        """Whether the caller gives what a node results in while the model runs."""
        return isinstance(node.op.access(self.signature(node), 0), Given)

    def site(self, node: Node) -> Site:
        return Site(node, self.signature(node), tuple(self.constants.get(name) for name in node.inputs))

    def producers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs}

    def consumers(self) -> dict[str, list[Node]]:
        """Nodes that read each value, in execution order; a model output isn't a consumer."""
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers.setdefault(name, []).append(node)
        return readers

    def macs(self) -> int:
        return sum(node.op.macs(self.signature(node)) for node in self.nodes)

    def without_dead(self) -> Graph:
        """Drop nodes whose results nobody reads and states that no output depends on, then types and constants that
        nobody names.
        """
        states, kept = (), self._feeding(self.outputs)
        while len(states) < len(found := self._read_states(kept, states)):
            states, kept = found, self._feeding((*self.outputs, *(state.next for state in found)))
        own = (name for state in states for name in (state.name, state.next))
        named = set(self.outputs).union(self.inputs, own, *((*node.inputs, *node.outputs) for node in kept))
        return replace(
            self,
            nodes=kept,
            types={name: t for name, t in self.types.items() if name in named},
            constants={name: c for name, c in self.constants.items() if name in named},
            sources={name: s for name, s in self.sources.items() if name in named},
            states=states,
        )

    def _feeding(self, results: Sequence[str]) -> tuple[Node, ...]:
        """The nodes that some results depend on within the step."""
        live, kept = set(results), list[Node]()
        for node in reversed(self.nodes):
            if live.intersection(node.outputs):
                kept.append(node)
                live.update(node.inputs)
        return tuple(reversed(kept))

    def _read_states(self, nodes: Sequence[Node], states: Sequence[State]) -> tuple[State, ...]:
        """Those whose values are outputs, or read by some nodes or states."""
        read = set(self.outputs).union(*(node.inputs for node in nodes), (state.next for state in states))
        return tuple(state for state in self.states if state.name in read)


@dataclass(frozen=True, eq=False)
class Site:
    """A node together with what is known about it.

    Attributes:
        constants: the constant operands; None where they are computed at run time.
        latitude: what its code must leave room for, or stick to, where its weights can be replaced without it.
    """

    node: Node
    sig: Signature
    constants: tuple[Array | None, ...]
    latitude: Latitude | None = None

    def constant(self, operand: int) -> Array:
        value = self.constants[operand] if operand < len(self.constants) else None
        if value is None:
            raise ValueError(f"operand {operand} of {self.node.name} is not a constant")
        return value

    def dynamic_inputs(self) -> Iterator[tuple[int, TensorType]]:
        """(operand index, type) of the operands that live in RAM at run time."""
        for index, (value, t) in enumerate(zip(self.constants, self.sig.inputs, strict=True)):
            if value is None:
                yield index, t


class Pass(Protocol):
    """A pure rewrite of the graph."""

    __name__: str

    def __call__(self, graph: Graph, /) -> Graph: ...


def free_name(name: str, taken: Container[str]) -> str:
    """`name`, or the first of name_2, name_3 ... that isn't taken."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def verify(graph: Graph, stage: str = "imported") -> None:
    """Check the invariants every pass must keep; `stage` names the pass in the message.

    Raises:
        ValueError: a broken invariant is a bug in tinycompile, not a user mistake.
    """

    def fail(message: str) -> NoReturn:
        raise ValueError(f"after {stage}: {message}")

    known = {*graph.given, *graph.constants}
    if len(known) != len(graph.given) + len(graph.constants):
        fail("two of inputs, states and constants are one value")
    names = set[str]()
    for node in graph.nodes:
        if node.name in names:
            fail(f"node name {node.name!r} is not unique")
        names.add(node.name)
        for name in node.inputs:
            if name not in known:
                fail(f"{node.name} reads {name!r} before it is computed")
        for name in node.outputs:
            if name in known:
                fail(f"{node.name} computes {name!r} a second time")
            known.add(name)
        for name in (*node.inputs, *node.outputs):
            if name not in graph.types:
                fail(f"{name!r} has no type")
        sig = graph.signature(node)
        for expected, actual in zip(node.op.infer(sig.inputs), sig.outputs, strict=True):
            if expected != (actual.shape, actual.dtype):
                yields = TensorType(*expected)
                fail(f"{node.name} ({node.op.kind}) yields {yields}, its type says {actual}")
    for name in graph.results:
        if name not in known:
            fail(f"{name!r}, an output or a state's next value, is never computed")
    for state in graph.states:
        now, following = graph.types.get(state.name), graph.types[state.next]
        if now is None or (now.shape, now.dtype) != (following.shape, following.dtype):
            fail(f"state {state.name!r} is {now}, its next value {following}")
        wrong = now.mismatch(state.initial)
        if wrong is not None:
            fail(f"state {state.name!r} is {now}, it begins with {wrong}")
    for name, value in graph.constants.items():
        wrong = graph.types[name].mismatch(value)
        if wrong is not None:
            fail(f"constant {name!r} has {wrong}, its type says {graph.types[name]}")
