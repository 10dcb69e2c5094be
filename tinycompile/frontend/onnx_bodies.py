"""If and Loop of ONNX that stay loops and branches: their bodies become graphs inside of one operator.

`onnx_control.py` says which: conditions and trip counts that are computed at run time, and what is long. A body is a
model of its own, whose inputs are its node's values and what it takes of those around it, with the model's own axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT64, UINT8, DType
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx_contrib import expand
from tinycompile.frontend.onnx_control import captured_by, subgraphs
from tinycompile.frontend.onnx_file import OnnxModel, SourceValue, static_model
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_scope import Scope, State
from tinycompile.frontend.onnx_values import Discrete, Known, Missing, Placed, Real, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Graph, Node, Op, TensorType, free_name
from tinycompile.ops.add import Add
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conditional import Conditional
from tinycompile.ops.dynamic_update_slice import DynamicUpdateSlice
from tinycompile.ops.less import Less
from tinycompile.ops.logical_and import LogicalAnd
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.while_loop import WhileLoop, turns_of

NUMBER, FLAG = TensorType((), INT64), TensorType((), BOOL)


@dataclass(frozen=True, eq=False)
class Reading:
    """What `onnx.py` does for bodies.

    Attributes:
        read: a model as a graph, in the model's own layout, and what else is known of it. exported: the IR value that
            is a value around the body, as the file has it.
    """

    read: Callable[[OnnxModel], tuple[Graph, object]]
    exported: Callable[[SourceValue], str]


def import_control(state: State, node: Any, reading: Reading) -> None:
    """Read an If or a Loop. Raises Rejected."""
    _Import(Scope(state, node), reading).run()


class _Import:
    """One node.

    Attributes:
        captured: what its bodies take of the values around, and is computed; `known` is what isn't.
    """

    def __init__(self, scope: Scope, reading: Reading) -> None:
        self.scope, self.reading, self.state = scope, reading, scope.state
        names = captured_by(scope.node)
        missing = [name for name in names if isinstance(self.state.values.get(name, Missing()), Missing)]
        if missing:
            raise Rejected(f"its body reads {missing[0]!r}, which isn't computed in front of it")
        self.known = {name: v.array for name in names if isinstance(v := self.state.values[name], Known)}
        self.captured = [name for name in names if name not in self.known]

    def run(self) -> None:
        if self.scope.kind == "If":
            self._if()
        else:
            self._loop()
        self.scope.evaluated()

    def _if(self) -> None:
        graphs = dict(subgraphs(self.scope.node))
        then, otherwise = (self._body(name, graphs[name], []) for name in ("then_branch", "else_branch"))
        operands = [self._operand(self.scope.node.input[0]), *(self._operand(name) for name in self.captured)]
        self._emit(Conditional(then, otherwise), operands, list(enumerate(then.outputs)), then)

    def _loop(self) -> None:
        ((_, graph),) = subgraphs(self.scope.node)
        count = len(graph.input) - 2
        limit, condition, *carried = list(self.scope.node.input)[: 2 + count]
        formal = [NUMBER, FLAG, *(self._type(name) for name in carried)]
        body = self._body("body", graph, formal)
        if not condition and not _keeps_going(body):
            raise Rejected(
                "its body says when it ends, which the standard ignores without a condition and onnxruntime heeds"
            )
        loop = _Loop(body, count, bounded=bool(limit))
        initial = [
            *carried,
            self._constant("position", np.zeros((), np.int64)),
            condition or self._constant("going", np.ones((), np.bool_)),
            *([limit] if limit else []),
        ]
        values = [self._operand(name) for name in initial] + [self._operand(name) for name in self.captured]
        known = [self._value_of(name) for name in initial] + [None] * len(self.captured)
        rows = len(body.outputs) - 1 - count
        going, turn = loop.graphs()
        turns = turns_of(going, turn, known)
        if rows:
            if not turns:
                raise Rejected(
                    "a condition or a trip count that is computed at run time decides about a result's shape"
                )
            buffers = [TensorType((turns, *t.shape), t.dtype) for t in loop.row_types]
            going, turn = loop.graphs(buffers)
            empty = [
                self.state.value(f"{self.scope.name}_rows", t, np.zeros(t.shape, t.dtype.carrier)) for t in buffers
            ]
            values = [*values[:count], *empty, *values[count:]]
        results = [*range(count + rows)]
        self._emit(WhileLoop(going, turn, turns), values, [(i, turn.outputs[i]) for i in results], turn)

    def _emit(self, op: Op, operands: list[str], results: Sequence[tuple[int, str]], graph: Graph) -> None:
        """Add the operator; some of its first results are the node's."""
        names = [self.scope.node.output[i] if i < len(self.scope.node.output) else "" for i, _ in results]
        called = [name or f"{self.scope.name}_{i}" for i, name in enumerate(names)]
        called += [f"{self.scope.name}_left_{i}" for i in range(len(graph.outputs) - len(called))]
        found = self.state.emit_several(op, operands, called, [None] * len(called))
        for i, (name, value) in enumerate(zip(names, found, strict=False)):
            if name:
                t = self.state.builder.types[value]
                if t.dtype in (INT8, UINT8):
                    raise Rejected(f"its result {name!r} is {t.dtype}; let QuantizeLinear be behind it")
                at = Placed(value, t.shape, identity(len(t.shape)))
                self.scope.set(Real(at) if t.dtype.name == "float32" else Discrete(at, t.dtype), i)

    def _body(self, attribute: str, graph: Any, formal: Sequence[TensorType]) -> Graph:
        """A body as a graph; its inputs are those that it lists, then what is captured."""
        onnx, outer = onnx_module(), self.state.model.proto
        proto = onnx.ModelProto(ir_version=outer.ir_version, opset_import=outer.opset_import)
        proto.graph.CopyFrom(graph)
        del proto.graph.value_info[:]
        for value, t in zip(proto.graph.input, formal, strict=True):
            value.CopyFrom(_declared(value.name, t.shape, t.dtype))
        proto.graph.input.extend(_declared(n, t.shape, t.dtype) for n in self.captured for t in [self._type(n)])
        used = {name for node in proto.graph.node for name in (*node.input, *captured_by(node))}
        used.update(value.name for value in proto.graph.output)
        arrays = [onnx.numpy_helper.from_array(value, name) for name, value in self.known.items() if name in used]
        proto.graph.initializer.extend(arrays)
        try:
            found, _ = self.reading.read(static_model(expand(proto, attribute), attribute))
        except UnsupportedError as error:
            what, why = error.problems[0]
            raise Rejected(f"in its {attribute}, {what}: {why}") from error
        return replace(found, sources={})

    def _type(self, name: str) -> TensorType:
        """Of a value around the bodies, in the file."""
        value = self.state.values.get(name)
        if isinstance(value, Known):
            return TensorType(value.array.shape, DType.of(value.array.dtype))
        dtype, shape = DType.find(self.state.type_names.get(name, "unknown")), self.state.model.shapes.get(name)
        if isinstance(value, Real | Discrete) and shape is None:  # onnx says nothing of what another loop results in
            shape, dtype = value.at.shape, value.dtype if isinstance(value, Discrete) else FLOAT32
        if dtype is None or shape is None:
            raise Rejected(f"type or shape of {name!r} is unknown")
        return TensorType(shape, dtype)

    def _constant(self, stem: str, value: Array) -> str:
        name = f"{self.scope.name}/{stem}"
        self.state.values[name] = Known(value)
        return name

    def _value_of(self, name: str) -> Array | None:
        value = self.state.values.get(name)
        return value.array if isinstance(value, Known) else None

    def _operand(self, name: str) -> str:
        """The IR value."""
        t, value = self._type(name), self.state.values.get(name)
        if isinstance(value, Known):
            return self.state.value(name, t, np.asarray(value.array))
        return self.reading.exported(SourceValue(name, t.shape, t.dtype.name))


@dataclass(frozen=True, eq=False)
class _Loop:
    """The body of a Loop: of (position, going, carried, captured) it makes (going, carried, rows).

    Attributes:
        count: of what is carried. bounded: whether there is a trip count.
    """

    body: Graph
    count: int
    bounded: bool

    @property
    def row_types(self) -> list[TensorType]:
        return [self.body.types[name] for name in self.body.outputs[1 + self.count :]]

    def graphs(self, buffers: Sequence[TensorType] = ()) -> tuple[Graph, Graph]:
        """(condition, body) of (carried, buffers for rows, position, going, trip count, captured); without `buffers`
        rows are left out.
        """
        body = self.body
        position, going, *rest = body.inputs
        types, constants, nodes = dict(body.types), dict(body.constants), list(body.nodes)

        def value(stem: str, t: TensorType, constant: Array | None = None) -> str:
            name = free_name(stem, types)
            types[name] = t
            if constant is not None:
                constants[name] = constant
            return name

        def node(op: Op, inputs: Sequence[str], stem: str, t: TensorType) -> str:
            result = value(stem, t)
            nodes.append(Node(free_name(stem, {n.name for n in nodes}), op, tuple(inputs), (result,)))
            return result

        one = value("one", NUMBER, np.ones((), np.int64))
        following = node(Add(), [position, one], "next position", NUMBER)
        held, written = list[str](), list[str]()
        for t, row in zip(buffers, body.outputs[1 + self.count :], strict=False):
            held.append(value("rows", t))
            part = node(Reshape((1, *t.shape[1:])), [row], "row", replace(t, shape=(1, *t.shape[1:])))
            place = node(Reshape((1,)), [position], "place", TensorType((1,), INT64))
            if len(t.shape) > 1:
                zeros = value("zeros", TensorType((len(t.shape) - 1,), INT64), np.zeros(len(t.shape) - 1, np.int64))
                place = node(Concatenation(0), [place, zeros], "places", TensorType((len(t.shape),), INT64))
            written.append(node(DynamicUpdateSlice(), [held[-1], part, place], "rows after", t))
        limit = [value("trip count", NUMBER)] if self.bounded else []
        inputs = (*rest[: self.count], *held, position, going, *limit, *rest[self.count :])
        outputs = (*body.outputs[1 : 1 + self.count], *written, following, body.outputs[0])
        turn = Graph("body", inputs, outputs, tuple(nodes), types, constants).without_dead()
        return self._condition(inputs, {name: types[name] for name in inputs}, position, going, limit), turn

    def _condition(
        self, inputs: tuple[str, ...], types: dict[str, TensorType], position: str, going: str, limit: list[str]
    ) -> Graph:
        nodes, result = tuple[Node, ...](), going
        if limit:
            left, result = free_name("left", types), free_name("left and going", types)
            types |= {left: FLAG, result: FLAG}
            nodes = (
                Node("left", Less(), (position, limit[0]), (left,)),
                Node("left and going", LogicalAnd(), (left, going), (result,)),
            )
        return Graph("condition", inputs, (result,), nodes, types, {})


def _keeps_going(body: Graph) -> bool:
    """Whether a body always goes on, if it went on before."""
    result = body.outputs[0]
    return result == body.inputs[1] or bool(result in body.constants and body.constants[result].all())


def _declared(name: str, shape: Sequence[int], dtype: DType) -> Any:
    helper = onnx_module().helper
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype.carrier), list(shape))
