"""The program to print: which C functions, constants and calls a planned graph becomes.

Everything is decided and named here; `emit` only prints it.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tinycompile.codegen.blob import GRAPH_BYTES, content_bytes, crc32
from tinycompile.codegen.interface import NO_FACTS, Edge, SourceFacts, edges_of
from tinycompile.codegen.names import comment_text, identifier, short_name, unique
from tinycompile.codegen.stream import HEADER as STREAM_HEADER
from tinycompile.codegen.stream import StageLoop, StageWriter
from tinycompile.ir import Array, Graph, Node, TensorType
from tinycompile.kernels.base import Constant, Function, Kernel
from tinycompile.kernels.cover import part_nodes
from tinycompile.planner import Planned
from tinycompile.planner.stage import Firing, Lines
from tinycompile.targets import Alignment

ABI_VERSION = 2
CRC_HEADER = "kernels/tc_crc32.h"
ALIGN_HEADER = "kernels/tc_align.h"
EDGE_HEADER = "kernels/tc_edge.h"


def any_alignment(t: TensorType, const: str = "") -> str:
    """What a pointer to a tensor of the caller points to, with a space: C forbids `float *` that isn't aligned."""
    return f"{const}{t.dtype.ctype if t.dtype.bits <= 8 else 'void'} "


@dataclass(frozen=True)
class NamedFunction:
    """A function and the name it got in this program."""

    name: str
    function: Function


@dataclass(frozen=True, eq=False)
class NamedConstant:
    """A constant array, its name in this program and the first layer that uses it.

    Attributes:
        cold: it goes to external flash.
    """

    name: str
    constant: Constant
    owner: str
    cold: bool = False


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value in RAM. `offset` in bytes.

    Attributes:
        lines: what of it is there, where it is never whole in memory.
        memory: which one: "arena", or "state" for what survives a step.
    """

    name: str
    type: TensorType
    offset: int
    lines: Lines | None = None
    memory: str = "arena"

    @property
    def address(self) -> str:
        """In `invoke`, as a pointer to bytes."""
        return f"{self.memory} + {self.offset}"

    @property
    def end(self) -> int:
        return self.offset + (self.type.bytes if self.lines is None else self.lines.bytes)

    def describe(self) -> str:
        """Shape, type, quantisation and place, for a comment."""
        place = f"{self.memory}[{self.offset}..{self.end - 1}]"
        return f"{self.type}{quantization_text(self.type)}{self._part()}, {place}"

    def _part(self) -> str:
        if self.lines is None:
            return ""
        if self.lines.columns is not None:
            return f", {self.lines.rows}x{self.lines.columns.size} of it"
        return f", {self.lines.rows} row{'s' if self.lines.rows > 1 else ''} of it"


@dataclass(frozen=True, eq=False)
class Layer:
    """One call in `<model>_invoke`, or no call where the result is its operand's memory."""

    index: int
    node: Node
    kernel: Kernel
    name: str
    function: str
    arguments: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def comment_lines(self) -> list[str]:
        names = " + ".join(f'"{comment_text(part.name)}"' for part in part_nodes(self.node))
        lines = [f"{self.index}: {self.node.op.title} {names}"]
        lines += [f"   in   {tensor.describe()}" for tensor in self.inputs]
        lines += [f"   out  {tensor.describe()}" for tensor in self.outputs]
        notes = [comment_text(f"{key} {value}") for key, value in self.kernel.notes.items()]  # each whole
        return [*lines, "   " + "; ".join([self.kernel.variant, *notes])]


@dataclass(frozen=True, eq=False)
class StateMemory:
    """Where a state is, and what it begins with.

    Attributes:
        fill: the byte that it is full of; None where `initial` names a constant array.
    """

    tensor: Tensor
    fill: int | None
    initial: str


@dataclass(frozen=True, eq=False)
class Program:
    """All that is printed for one model.

    Attributes:
        states: what survives a step, beside the arena; `state_bytes` in all.
        scratch_bytes: of scratch apart from the arena, in faster memory; 0 where it is inside.
        separate: the weights are in a file of their own, which the context points to.
        graph_id: what ties that file to the code; zeros as long as it isn't known.
        alignment: "any" for words at any address, "strict" for code that avoids those, "core" for a core that has none.
        edges: inputs and outputs as a caller sees them, an input that comes row by row included.
    """

    model: str
    graph: Graph
    arena_bytes: int
    scratch_bytes: int
    stages: tuple[StageLoop, ...]
    functions: tuple[NamedFunction, ...]
    constants: tuple[NamedConstant, ...]
    layers: tuple[Layer, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    separate: bool = False
    graph_id: bytes = bytes(GRAPH_BYTES)
    alignment: Alignment = "any"
    edges: tuple[Edge, ...] = ()
    facts: SourceFacts = NO_FACTS
    states: tuple[StateMemory, ...] = ()
    state_bytes: int = 0

    @property
    def labelled(self) -> Edge | None:
        """The output whose last axis has as many values as there are labels."""
        ends = (len(self.facts.labels),)
        return next((e for e in self.edges if e.kind == "output" and e.type.shape[-1:] == ends), None)

    @property
    def weights_crc32(self) -> int:
        """Of all constant arrays."""
        return crc32(named.constant.values for named in self.constants)

    @property
    def blob_bytes(self) -> int:
        """Of the weights' file without its header."""
        return content_bytes(self.edges, (named.constant.values for named in self.constants))

    @property
    def graph_words(self) -> str:
        """`graph_id` as C."""
        words = (self.graph_id[i : i + 4] for i in range(0, GRAPH_BYTES, 4))
        return ", ".join(f"0x{int.from_bytes(word, 'little'):08x}u" for word in words)

    @property
    def abi(self) -> int:
        """A number for what a caller relies on: the context, where inputs and outputs are, and of what type."""
        pointers = [self.separate, self.streamed_input is not None]
        facts = [ABI_VERSION, self.arena_bytes, self.scratch_bytes, *pointers, len(self.inputs)]
        rows = [self.streamed_input] if self.streamed_input else []
        for tensor in (*rows, *self.inputs, *self.outputs, *(state.tensor for state in self.states)):
            facts += [tensor.offset, str(tensor.type)]
        return zlib.crc32(" ".join(map(str, facts)).encode())

    @property
    def streamed_input(self) -> Tensor | None:
        """The input that comes row by row through a callback, if there is one."""
        return next(iter(_from_caller(self.layers)), None)

    @property
    def headers(self) -> list[str]:
        """What the code includes, beside what its public header does."""
        streamed = {STREAM_HEADER} if self.stages else set[str]()
        checked = {CRC_HEADER} if self.constants or self.separate else set[str]()
        aligned = {ALIGN_HEADER} if self.alignment == "strict" else set[str]()
        return sorted({header for f in self.functions for header in f.function.headers} | streamed | checked | aligned)

    @property
    def interface_headers(self) -> list[str]:
        """What the public header includes."""
        return [EDGE_HEADER] if any(edge.quantized for edge in self.edges) else []

    @property
    def blocks(self) -> list[Layer | StageLoop]:
        """What `invoke` does in turn."""
        starts = {stage.first: stage for stage in self.stages}
        inside = {index for stage in self.stages for index in range(stage.first, stage.last)}
        found = list[Layer | StageLoop]()
        for layer in self.layers:
            if layer.index in starts:
                found.append(starts[layer.index])
            elif layer.index not in inside:
                found.append(layer)
        return found

    @property
    def preambles(self) -> list[str]:
        return list(dict.fromkeys(str(text) for f in self.functions for text in f.function.preambles))

    def anonymous(self) -> Program:
        """The same program with names that depend on nothing but the order of what they name: not on the model's file,
        its layers' names, or other models of the firmware."""
        constants: dict[str, str] = {c.name: f"constant_{index}" for index, c in enumerate(self.constants)}
        functions: dict[str, str] = {f.name: f"function_{index}" for index, f in enumerate(self.functions)}

        def argument(text: str) -> str:
            head, arrow, name = text.rpartition("->")
            return f"{head}{arrow}{constants.get(name, name)}"

        return replace(
            self,
            model="model",
            functions=tuple(replace(f, name=functions[f.name]) for f in self.functions),
            constants=tuple(replace(c, name=constants[c.name]) for c in self.constants),
            layers=tuple(
                replace(
                    layer,
                    function=functions.get(layer.function, layer.function),
                    arguments=tuple(argument(each) for each in layer.arguments),
                )
                for layer in self.layers
            ),
            states=tuple(replace(state, initial=argument(state.initial)) for state in self.states),
            graph_id=bytes(GRAPH_BYTES),
            facts=NO_FACTS,
        )

    def weight_symbols(self, cold: bool | None = None) -> list[str]:
        """Names of the constant arrays: all, or those in external flash, or those that aren't."""
        return [constant.name for constant in self.constants if cold is None or constant.cold == cold]


def quantization_text(t: TensorType) -> str:
    if t.quant is None or not t.quant.is_per_tensor:
        return ""
    return f", scale {t.scale:.7g}, zero point {t.zero_point}"


@dataclass
class _Names:
    """Shares equal functions and equal constant arrays, and names the distinct ones.

    Attributes:
        separate: the arrays are in a file of their own: which of them are equal today mustn't be in the code.
    """

    model: str
    separate: bool
    cold: Collection[Constant] = ()
    taken: set[str] = field(default_factory=lambda: set[str]())
    functions: dict[Function, NamedFunction] = field(default_factory=dict[Function, NamedFunction])
    constants: dict[tuple[str, str, bytes, str], NamedConstant] = field(
        default_factory=dict[tuple[str, str, bytes, str], NamedConstant]
    )

    def function(self, function: Function) -> str:
        if function not in self.functions:
            name = identifier(function.stem, self.taken, "kernel")
            self.functions[function] = NamedFunction(name, function)
        return self.functions[function].name

    def constant(self, constant: Constant, layer: str) -> str:
        layout = str(constant.values.dtype) if constant.values.dtype.names else np.dtype(constant.values.dtype).str
        place = f"{layer} {constant.suffix}" if self.separate else ""
        key = (constant.ctype, layout, constant.values.tobytes(), place)
        if key not in self.constants:
            name = unique(f"{self.model}_{layer}_{constant.suffix}", self.taken)
            self.constants[key] = NamedConstant(name, constant, layer, constant in self.cold)
        return self.constants[key].name


class _Binder:
    """Binds every node to its function and its memory."""

    def __init__(self, planned: Planned, names: _Names, writers: Sequence[StageWriter]) -> None:
        self._planned, self._names = planned, names
        self._taken = set[str]()
        self._lines = {name: kept for stage in planned.stages for name, kept in stage.lines.items()}
        self._streamed = {
            firing.step: (writer, firing)
            for writer, stage in zip(writers, planned.stages, strict=True)
            for firing in stage.firings
        }

    def name(self, source: str) -> str:
        """A layer's or a state's, told from all others."""
        return identifier(short_name(source), self._taken)

    def tensors(self, values: Iterable[str]) -> tuple[Tensor, ...]:
        """Those in memory."""
        planned, graph = self._planned, self._planned.graph
        return tuple(
            Tensor(v, graph.types[v], planned.offsets[v], self._lines.get(v), "state" if v in planned.kept else "arena")
            for v in values
            if v not in graph.constants
        )

    def layer(self, index: int) -> Layer:
        planned, node = self._planned, self._planned.graph.nodes[index]
        kernel = planned.kernels[index]
        kernel = replace(kernel, notes={**kernel.notes, "chosen": planned.reasons[index]})
        name = self.name(node.name)
        inputs, outputs = self.tensors(node.inputs), self.tensors(node.outputs)
        arguments = self._pointers(index, node, inputs, outputs)
        prefix = "weights->" if self._names.separate else ""
        arguments += [prefix + self._names.constant(c, name) for c in kernel.constants]
        if kernel.scratch_bytes:
            memory = "scratch" if planned.scratch_bytes else "arena"
            arguments.append(f"{memory} + {planned.scratch_offsets[index]}")
        function = self._names.function(kernel.function) if kernel.function else ""
        if node.op.comes_from_caller and index in self._streamed:
            rows = self._streamed[index][1].rows.size
            first = "n" if rows == 1 else f"n * {rows}"
            function, arguments = "context->rows", ["context->user", first, str(rows), arguments[-1]]
        return Layer(index, node, kernel, name, function, tuple(arguments), inputs, outputs)

    def _pointers(self, index: int, node: Node, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[str]:
        if index in self._streamed:
            return _streamed_pointers(self._planned.graph, node, *self._streamed[index])
        return [_pointer(t, const=True) for t in inputs] + [_pointer(t) for t in outputs]


def build_program(
    model: str,
    planned: Planned,
    cold: Collection[Constant] = (),
    *,
    separate: bool = False,
    taken: set[str] | None = None,
    alignment: Alignment = "any",
    facts: SourceFacts = NO_FACTS,
) -> Program:
    """Name everything and bind every call to its memory.

    Args:
        model: C identifier of the model.
        cold: the constants that go to external flash.
        separate: whether the weights are in a file of their own.
        taken: names that other models of the firmware have; this one's join them.
        alignment: see `Program`.
        facts: what the model's file says of inputs and outputs.
    """
    names = _Names(model, separate, cold, set() if taken is None else taken)
    writers = [
        StageWriter(stage, planned.graph, planned.offsets.__getitem__, planned.parts) for stage in planned.stages
    ]
    binder = _Binder(planned, names, writers)
    graph = planned.graph
    layers = [binder.layer(index) for index in range(len(graph.nodes))]
    inputs, outputs = binder.tensors(graph.inputs), binder.tensors(graph.outputs)
    states = [
        _state(tensor, state.initial, names, binder.name(state.name))
        for state, tensor in zip(graph.states, binder.tensors(state.name for state in graph.states), strict=True)
    ]
    return Program(
        model=model,
        graph=graph,
        arena_bytes=planned.arena_bytes,
        scratch_bytes=planned.scratch_bytes,
        stages=tuple(writer.loop() for writer in writers),
        functions=tuple(names.functions.values()),
        constants=tuple(names.constants.values()),
        layers=tuple(layers),
        inputs=inputs,
        outputs=outputs,
        separate=separate,
        alignment=alignment,
        edges=_edges(inputs, outputs, layers, facts),
        facts=facts,
        states=tuple(states),
        state_bytes=planned.state_bytes,
    )


def _state(tensor: Tensor, initial: Array, names: _Names, name: str) -> StateMemory:
    """With what it begins with as a constant of its own, unless all its bytes are the same."""
    dtype = tensor.type.dtype
    content = set(dtype.pack(initial).tobytes())
    if len(content) <= 1 and not names.separate:
        return StateMemory(tensor, content.pop() if content else 0, "")
    constant = Constant("initial", dtype.ctype, dtype.c_elements(initial), f"what state {name} begins with")
    return StateMemory(tensor, None, ("weights->" if names.separate else "") + names.constant(constant, name))


def _edges(
    inputs: Iterable[Tensor], outputs: Iterable[Tensor], layers: Iterable[Layer], facts: SourceFacts
) -> tuple[Edge, ...]:
    """Inputs, one that comes row by row among them, whose rows have channels last; then outputs."""
    rows = [(t.name, t.type, None) for t in _from_caller(layers)]
    whole = [(t.name, t.type, t.offset) for t in inputs]
    made = edges_of("input", rows or whole, facts.inputs, "NHWC" if rows else facts.layout)
    return made + edges_of("output", [(t.name, t.type, t.offset) for t in outputs], facts.outputs, facts.layout)


def _from_caller(layers: Iterable[Layer]) -> list[Tensor]:
    return [layer.outputs[0] for layer in layers if layer.node.op.comes_from_caller]


def _streamed_pointers(graph: Graph, node: Node, writer: StageWriter, firing: Firing) -> list[str]:
    """Operands and result of a layer's turn n."""
    types = {name: graph.types[name].dtype.ctype for name in (*node.inputs, *node.outputs)}
    pointers = [
        f"(const {types[name]} *)({writer.input(firing, operand)})"
        for operand, name in enumerate(node.inputs)
        if name not in graph.constants
    ]
    return [*pointers, f"({types[node.outputs[0]]} *)({writer.output(firing)})"]


def _pointer(tensor: Tensor, const: bool = False) -> str:
    return f"({'const ' if const else ''}{tensor.type.dtype.ctype} *)({tensor.address})"
