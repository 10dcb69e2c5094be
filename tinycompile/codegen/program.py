"""The program to print: which C functions, constants and calls a planned graph becomes.

Everything is decided and named here; `emit` only prints it.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from tinycompile.backends.resolve import Backend
from tinycompile.codegen.arguments import (
    Argument,
    CallerRows,
    ConstantName,
    MeetingAndCore,
    Place,
    Scratch,
    Variable,
    here,
)
from tinycompile.codegen.blob import GRAPH_BYTES, content_bytes, crc32
from tinycompile.codegen.constants import repetitions
from tinycompile.codegen.function_names import function_names
from tinycompile.codegen.halves import half_calls
from tinycompile.codegen.interface import NO_FACTS, Edge, SourceFacts, edges_of
from tinycompile.codegen.layer_names import layer_names, told_apart_by
from tinycompile.codegen.names import identifier, short_name, unique, words
from tinycompile.codegen.parts import Layer, NamedConstant, NamedFunction, StateMemory, Tensor
from tinycompile.codegen.reserved import API, LOCALS, STEP_LOCALS
from tinycompile.codegen.steps import PushedRows, StepCode, pushed_rows, step_codes
from tinycompile.codegen.stream import HEADER as STREAM_HEADER
from tinycompile.codegen.stream import StageLoop, StageWriter
from tinycompile.codegen.training import TrainingMemory, training_memory
from tinycompile.ir import Array, Graph
from tinycompile.kernels.base import Constant, Function, Kernel
from tinycompile.kernels.cover import part_nodes
from tinycompile.planner import Planned
from tinycompile.planner.meetings import Meeting, all_meetings
from tinycompile.planner.steps import Steps
from tinycompile.targets import Alignment
from tinycompile.training.federated import GradientExport

ABI_VERSION = 2
CRC_HEADER = "kernels/tc_crc32.h"
ALIGN_HEADER = "kernels/tc_align.h"
SCRATCH_HEADER = "kernels/tc_scratch.h"
ALWAYS = ("kernels/tc_guard.h", "kernels/tc_trace.h")
EDGE_HEADER = "kernels/tc_edge.h"
DESCENT_HEADER = "kernels/tc_descent.h"
CHECKPOINT_HEADER = "kernels/tc_checkpoint.h"
MEETING_HEADER = "kernels/tc_meeting.h"
CACHED_MEETING_HEADER = "kernels/tc_meeting_cached.h"


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
        variables: what values and copies of parts of them are called in `<model>_infer`, by key.
        training: of a training step. gradient: how it exports what it learns, if it does.
        backends: what its outputs are turned into, in a header of its own.
        lender: the model whose constants some of its arrays are parts of; None if it needs no other.
        width_of: what the network is called of which it is one width; None for a model of its own.
        steps: of one that returns between them.
        meetings: where two cores meet, by the layer behind; None for one core.
        line: bytes of the lines of a cache that only the first of them has; 0 for none.
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
    variables: Mapping[str, Variable] = field(default_factory=dict[str, Variable])
    training: TrainingMemory | None = None
    gradient: GradientExport | None = None
    backends: tuple[Backend, ...] = ()
    steps: tuple[StepCode, ...] = ()
    meetings: Mapping[int, Meeting] | None = None
    line: int = 0
    lender: str | None = None
    width_of: str | None = None

    @property
    def labelled(self) -> Edge | None:
        """The output whose last axis has as many values as there are labels."""
        ends = (len(self.facts.labels),)
        return next((e for e in self.edges if e.kind == "output" and e.type.shape[-1:] == ends), None)

    @cached_property
    def pushed(self) -> PushedRows | None:
        """Which turns ask for rows of the input, where these can be pushed."""

        def asked(layer: int) -> int | None:
            return next((a.rows for a in self.layers[layer].arguments if isinstance(a, CallerRows)), None)

        return pushed_rows(self.steps, self.stages, asked)

    @property
    def weights_crc32(self) -> int:
        """Of all constant arrays."""
        return crc32(named.constant.values for named in self.constants)

    @property
    def blob_bytes(self) -> int:
        """Of the weights' file without its header."""
        return content_bytes(len(self.edges), (named.constant.bytes for named in self.constants))

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
        facts += ["training"] if self.training else []
        facts += ["steps"] if self.steps else ["cores"] if self.meetings is not None else []
        facts += [self.line] if self.line else []
        return zlib.crc32(" ".join(map(str, facts)).encode())

    @property
    def streamed_input(self) -> Tensor | None:
        """The input that comes row by row through a callback, if there is one."""
        return next(iter(_from_caller(self.graph, self.layers)), None)

    @property
    def headers(self) -> list[str]:
        """What the code includes, beside what its public header does."""
        streamed = {STREAM_HEADER} if self.stages else set[str]()
        checked = {CRC_HEADER} if self.constants or self.separate else set[str]()
        aligned = {ALIGN_HEADER} if self.alignment == "strict" else set[str]()
        shared = {SCRATCH_HEADER} if self.scratch_bytes else set[str]()
        applied = {DESCENT_HEADER} if self.training and self.training.accumulated else set[str]()
        kernels = {header for f in self.functions for header in f.function.headers}
        return sorted(kernels.union(ALWAYS, streamed, checked, aligned, shared, applied))

    @property
    def interface_headers(self) -> list[str]:
        """What the public header includes."""
        edges = [EDGE_HEADER] if any(edge.quantized for edge in self.edges) else []
        if self.meetings is not None:
            edges += [CACHED_MEETING_HEADER if self.line else MEETING_HEADER]
        return edges + ([CHECKPOINT_HEADER] if self.training else [])

    @property
    def unit(self) -> str:
        """The C file that is compiled, without `.c`: all widths of a network are one."""
        return self.width_of or self.model

    @property
    def code_file(self) -> str:
        """Where the inference is."""
        return f"{self.model}.c" if self.width_of is None else f"{self.model}_inference.h"

    @property
    def memory_switch(self) -> str:
        """The macro with which a context has no memory of its own."""
        return "TC_BRING_MEMORY" if self.width_of is None else f"{self.model.upper()}_BRING_MEMORY"

    def text_of(self, named: NamedFunction) -> str:
        """The statements of a function, with the names that those it calls have in this program."""
        names = {each.function: each.name for each in self.functions}
        return named.function.calling([names[callee] for callee in named.function.callees])

    @property
    def preambles(self) -> list[str]:
        return list(dict.fromkeys(str(text) for f in self.functions for text in f.function.preambles))

    def anonymous(self) -> Program:
        """The same program with names that depend on nothing but the order of what they name: not on the model's file,
        its layers' names, or other models of the firmware."""
        constants: dict[str, str] = {c.name: f"constant_{index}" for index, c in enumerate(self.constants)}
        functions: dict[str, str] = {f.name: f"function_{index}" for index, f in enumerate(self.functions)}

        variables: dict[str, str] = {key: f"value_{index}" for index, key in enumerate(self.variables)}

        def argument(given: Argument) -> Argument:
            return replace(given, name=constants[given.name]) if isinstance(given, ConstantName) else given

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
            states=tuple(
                replace(state, initial=state.initial and replace(state.initial, name=constants[state.initial.name]))
                for state in self.states
            ),
            variables={key: replace(v, name=variables[key]) for key, v in self.variables.items()},
            graph_id=bytes(GRAPH_BYTES),
            facts=NO_FACTS,
        )

    def weight_symbols(self, cold: bool | None = None) -> list[str]:
        """Names of the constant arrays: all, or those in external flash, or those that aren't."""
        return [constant.name for constant in self.constants if cold is None or constant.cold == cold]


@dataclass
class _Names:
    """Shares equal functions and equal constant arrays, and names the distinct ones.

    Attributes:
        separate: the arrays are in a file of their own: which of them are equal today mustn't be in the code.
        lent: the arrays of the model that has some of this one's.
        known: functions that other models have, in the same C file.
    """

    model: str
    separate: bool
    cold: Collection[Constant] = ()
    lent: Mapping[ConstantKey, NamedConstant] = field(default_factory=dict["ConstantKey", NamedConstant])
    known: Mapping[Function, NamedFunction] = field(default_factory=dict[Function, NamedFunction])
    taken: set[str] = field(default_factory=lambda: set[str]())
    functions: dict[Function, NamedFunction] = field(default_factory=dict[Function, NamedFunction])
    constants: dict[ConstantKey, NamedConstant] = field(default_factory=dict["ConstantKey", NamedConstant])

    def share(self, kernels: Iterable[Kernel]) -> None:
        """Name the functions of these kernels."""
        own = (each for kernel in kernels for each in ([half.kernel for half in kernel.halves] or [kernel]))
        called = (each for kernel in own if kernel.function for each in kernel.function.all_called)
        distinct = list(dict.fromkeys(called))
        new = [function for function in distinct if function not in self.known]
        named = dict(zip(new, map(NamedFunction, function_names(new, self.taken), new), strict=True))
        self.functions = {function: named.get(function) or self.known[function] for function in distinct}

    def function(self, kernel: Kernel) -> str:
        return self.functions[kernel.function].name if kernel.function else ""

    def constant(self, constant: Constant, layer: str) -> ConstantName:
        if constant.lent is not None:
            whole, first = constant.lent
            return ConstantName(self.lent[_key(whole, "")].name, False, first)
        key = _key(constant, f"{layer} {constant.suffix}" if self.separate else "")
        if key not in self.constants:
            name = unique(f"{self.model}_{layer}_{constant.suffix}", self.taken)
            self.constants[key] = NamedConstant(name, constant, layer, constant in self.cold)
        return ConstantName(self.constants[key].name, self.separate)


ConstantKey = tuple[str, str, bytes, str]


def _key(constant: Constant, place: str) -> ConstantKey:
    """What equal arrays have in common."""
    layout = str(constant.values.dtype) if constant.values.dtype.names else np.dtype(constant.values.dtype).str
    return constant.ctype, layout, constant.values.tobytes(), place


class _Binder:
    """Binds every node to its function and its memory."""

    def __init__(self, planned: Planned, names: _Names) -> None:
        self._planned, self._names, graph = planned, names, planned.graph
        self._taken = set[str]()
        self._layer_names = layer_names([told_apart_by(node.name, node.op.title) for node in graph.nodes], self._taken)
        self._owners = {graph.name, *(part.name for node in graph.nodes for part in part_nodes(node))}
        self.writers = [StageWriter(stage, graph, planned.parts) for stage in planned.stages]
        self._lines = {name: kept for stage in planned.stages for name, kept in stage.lines.items()}
        self._streamed = {
            firing.step: (writer, firing)
            for writer, stage in zip(self.writers, planned.stages, strict=True)
            for firing in stage.firings
        }

    def state_name(self, source: str) -> str:
        """Told from all others."""
        return identifier(self._short(source), self._taken, "state")

    def _short(self, value: str) -> str:
        """What a value is called that isn't its layer's only result. One that was added to a layer or to the
        model, as training adds weights, gradients and a loss, has that one's name in front of its own word.
        """
        owner, _, word = value.rpartition("/")
        return f"{short_name(owner)}_{word}" if owner in self._owners else short_name(value)

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
        kernel = replace(kernel, notes={**kernel.notes, "chosen": planned.reasons[index].text})
        name = self._layer_names[index]
        inputs, outputs = self.tensors(node.inputs), self.tensors(node.outputs)
        arguments = self._pointers(index, inputs, outputs)
        arguments += [self._names.constant(c, name) for c in kernel.constants]
        arguments += [Scratch()] if kernel.scratch_bytes else []
        arguments += [MeetingAndCore()] if kernel.together else []
        scratch = planned.scratch_offsets[index] if kernel.scratch_bytes and not planned.scratch_bytes else None
        function = self._names.function(kernel.halves[0].kernel if kernel.halves else kernel)
        if planned.graph.is_given(node) and index in self._streamed:
            firing = self._streamed[index][1]
            size = firing.rows.size
            rows = CallerRows(size, firing.partial or size, firing.firings)
            function, arguments = "context->rows", [rows, arguments[-1]]
        halves = half_calls(kernel, node, planned.graph, self._names.function, lambda c: self._names.constant(c, name))
        return Layer(index, node, kernel, name, function, tuple(arguments), inputs, outputs, scratch, halves)

    def _pointers(self, index: int, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Argument]:
        if index not in self._streamed:
            return [Place(tensor.name) for tensor in (*inputs, *outputs)]
        node, (writer, firing) = self._planned.graph.nodes[index], self._streamed[index]
        operands = [i for i, name in enumerate(node.inputs) if name not in self._planned.graph.constants]
        return [*(writer.input(firing, operand) for operand in operands), writer.output(firing)]

    def variables(self, layers: Sequence[Layer], taken: set[str]) -> dict[str, Variable]:
        """A local for each value: called like the layer that makes it, or as the model's file calls it.

        Args:
            taken: what has a meaning where they are used.
        """
        planned, graph, taken = self._planned, self._planned.graph, set(taken)
        makers = {layer.outputs[0].name: layer.name for layer in layers if len(layer.outputs) == 1}
        found = dict[str, Variable]()
        used = [t.name for layer in layers for t in (*layer.inputs, *layer.outputs)]
        for t in self.tensors(dict.fromkeys([*graph.inputs, *used])):
            name = identifier(makers.get(t.name, self._short(t.name)), taken, "value", "_result")
            found[t.name] = Variable(name, t.type.dtype.ctype, t.memory, t.offset)
        for writer in self.writers:
            for key, tensor, part in writer.copies():
                own, ctype = found[tensor].name, graph.types[tensor].dtype.ctype
                for each, name in ((key, f"{own}_{part}"), (here(key), f"{own}_here")):
                    found[each] = Variable(identifier(name, taken), ctype, "arena", planned.parts[key])
        return found


def _meetings(planned: Planned, line: int) -> dict[int, Meeting]:
    found = all_meetings(planned, line)
    return {each.layer: each.lines(line) if line else each for each in found}


def build_program(
    model: str,
    planned: Planned,
    cold: Collection[Constant] = (),
    *,
    separate: bool = False,
    taken: set[str] | None = None,
    alignment: Alignment = "any",
    facts: SourceFacts = NO_FACTS,
    steps: Steps | None = None,
    cores: int = 1,
    line: int = 0,
    wider: Sequence[Program] = (),
) -> Program:
    """Name everything and bind every call to its memory.

    Args:
        model: C identifier of the model.
        cold: the constants that go to external flash.
        separate: whether the weights are in a file of their own.
        taken: names that other models of the firmware have; this one's join them.
        alignment: see `Program`.
        facts: what the model's file says of inputs and outputs.
        steps: of an inference that returns between them. cores: that compute it. line: see `Program`.
        wider: the same network at other widths, in the same C file; kernels read parts of the first one's arrays.
    """
    lent = {_key(named.constant, ""): named for each in wider[:1] for named in each.constants}
    known = {named.function: named for each in wider for named in each.functions}
    names = _Names(model, separate, cold, lent, known, set() if taken is None else taken)
    names.share([*planned.kernels, *(steps.kernels if steps else ())])
    binder, graph = _Binder(planned, names), planned.graph
    layers = [binder.layer(index) for index in range(len(graph.nodes))]
    inputs, outputs = binder.tensors(graph.inputs), binder.tensors(graph.outputs)
    states = [
        _state(tensor, state.initial, names, binder.state_name(state.name))
        for state, tensor in zip(graph.states, binder.tensors(state.name for state in graph.states), strict=True)
    ]
    functions = tuple(names.functions.values())
    own = (*(STEP_LOCALS if steps else LOCALS), *(f"{model}_{word}" for word in API))
    return Program(
        model=model,
        graph=graph,
        arena_bytes=planned.arena_bytes,
        scratch_bytes=planned.scratch_bytes,
        stages=tuple(writer.loop() for writer in binder.writers),
        functions=functions,
        steps=step_codes(steps, graph, names.function, lambda c, i: names.constant(c, layers[i].name)),
        meetings=_meetings(planned, line) if cores > 1 else None,
        line=line,
        constants=tuple(names.constants.values()),
        layers=tuple(layers),
        inputs=inputs,
        outputs=outputs,
        separate=separate,
        alignment=alignment,
        edges=_edges(graph, inputs, outputs, layers, facts),
        facts=facts,
        states=tuple(states),
        state_bytes=planned.state_bytes,
        variables=binder.variables(layers, {*names.taken, *own, *_words(functions)}),
        training=training_memory(graph, planned.offsets),
        lender=wider[0].model if wider and any(each.lent for each in planned.constants) else None,
    )


def _words(functions: Iterable[NamedFunction]) -> set[str]:
    """All identifiers at file scope that these bring."""
    return {word for named in functions for text in named.function.preambles for word in words(str(text))}


def _state(tensor: Tensor, initial: Array, names: _Names, name: str) -> StateMemory:
    """With what it begins with as a constant of its own, unless all its bytes are the same; rows that are, once."""
    dtype = tensor.type.dtype
    content = set(dtype.pack(initial).tobytes())
    if len(content) <= 1 and not names.separate:
        return StateMemory(tensor, content.pop() if content else 0, None)
    elements = dtype.c_elements(initial)
    times = 1 if names.separate else repetitions(elements)
    whose = f"what state {name} begins with" + (f", {times} times" if times > 1 else "")
    constant = Constant("initial", dtype.ctype, elements[: elements.size // times], whose)
    return StateMemory(tensor, None, names.constant(constant, name), times)


def _edges(
    graph: Graph, inputs: Iterable[Tensor], outputs: Iterable[Tensor], layers: Iterable[Layer], facts: SourceFacts
) -> tuple[Edge, ...]:
    """Inputs, one that comes row by row among them, whose rows have channels last; then outputs."""
    rows = [(t.name, t.type, None) for t in _from_caller(graph, layers)]
    whole = [(t.name, t.type, t.offset) for t in inputs]
    made = edges_of("input", rows or whole, facts.inputs, "NHWC" if rows else facts.layout)
    return made + edges_of("output", [(t.name, t.type, t.offset) for t in outputs], facts.outputs, facts.layout)


def _from_caller(graph: Graph, layers: Iterable[Layer]) -> list[Tensor]:
    return [layer.outputs[0] for layer in layers if graph.is_given(layer.node)]
