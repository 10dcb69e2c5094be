"""An ONNX model that is being written from a graph of floats, and the registry of how operators are written.

Images have channels last in a graph and channels first in ONNX. A value of four axes is written in the order in which
its operator computes it, and transposed only for readers that want the other one; a graph's own transpositions between
the two orders are nothing but that. So a network that PyTorch exported to TFLite becomes what it exports to ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array, Graph, Node, Op, Signature

OPSET = 20
"""The first with Gelu."""
IR_VERSION = 10

FIRST, LAST = (0, 3, 1, 2), (0, 1, 2, 3)
"""Orders of four axes, as those of a graph's tensor: channels first, and as it is."""
FROM_FIRST = (0, 2, 3, 1)

Export = Callable[["Writer", Node, Signature], None]
EXPORTS: dict[type[Op], Export] = {}


def exports(*ops: type[Op]) -> Callable[[Export], Export]:
    """Decorator: how these operators are written."""

    def register(export: Export) -> Export:
        EXPORTS.update(dict.fromkeys(ops, export))
        return export

    return register


class Writer:
    """The model so far."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.helper = graph, onnx_module().helper
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self._names: dict[tuple[str, tuple[int, ...]], str] = {(name, LAST): name for name in graph.inputs}
        self._taken = {*graph.types}

    def is_first(self, value: str) -> bool:
        """Whether a value exists with channels first."""
        return (value, FIRST) in self._names

    def order(self, node: Node, sig: Signature) -> tuple[int, ...]:
        """In which an operator that treats all elements alike is written: channels first where an operand has them so,
        and the others can be brought to it.
        """
        dynamic = [(v, t) for v, t in zip(node.inputs, sig.inputs, strict=True) if v not in self.graph.constants]
        images = all(len(t.shape) == 4 for _, t in dynamic) and len(sig.output.shape) == 4
        return FIRST if images and any(self.is_first(value) for value, _ in dynamic) else LAST

    def read(self, value: str, order: tuple[int, ...] = LAST) -> str:
        """A value in an order; constants of fewer axes than four are brought to four where they are to be permuted."""
        if (value, order) in self._names:
            return self._names[value, order]
        constant = self.graph.constants.get(value)
        if constant is not None:
            name = self.constant(value, ordered(self.real(value), order))
        else:
            known, permutation = (LAST, FIRST) if order == FIRST else (FIRST, FROM_FIRST)
            name = self.temporary(f"{value}_{'channels_first' if order == FIRST else 'channels_last'}")
            if order == LAST and value in self.graph.outputs:
                name = value
            self.node("Transpose", [self._names[value, known]], [name], perm=list(permutation))
        self._names[value, order] = name
        return name

    def same(self, value: str, order: tuple[int, ...], name: str) -> None:
        """A value in an order is something that there is already."""
        self._names[value, order] = name

    def real(self, value: str) -> Array:
        """A constant; integers with a scale are dequantised."""
        constant, t = self.graph.constants[value], self.graph.types[value]
        if t.quant is None:
            return constant
        axis = t.quant.axis
        shape = [-1 if i == axis else 1 for i in range(constant.ndim)] if axis is not None else [1] * constant.ndim
        scale, zero_point = t.quant.scale.reshape(shape), t.quant.zero_point.reshape(shape)
        return ((constant.astype(np.int64) - zero_point) * scale).astype(np.float32)

    def result(self, node: Node, order: tuple[int, ...] = LAST, index: int = 0) -> str:
        """The name of a node's result, which is written in this order."""
        value = node.outputs[index]
        name = value if order == LAST or value not in self.graph.outputs else self.temporary(f"{value}_channels_first")
        self._names[value, order] = name
        return name

    def temporary(self, stem: str) -> str:
        """A name that is free."""
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name

    def constant(self, stem: str, value: Array | np.generic) -> str:
        """Add a constant."""
        name = self.temporary(f"{stem}_constant")
        self.constants[name] = np.ascontiguousarray(value).reshape(np.shape(value))
        return name

    def integers(self, stem: str, values: Sequence[int]) -> str:
        return self.constant(stem, np.array(values, np.int64))

    def node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: object) -> None:
        """Add a node, called as its result."""
        self.nodes.append(self.helper.make_node(kind, list(inputs), list(outputs), outputs[0], **attributes))

    def chain(self, value: str, result: str, steps: Sequence[tuple[str, Sequence[str], Mapping[str, object]]]) -> None:
        """Functions one after the other: (operator, further operands, attributes)."""
        for index, (kind, others, attributes) in enumerate(steps):
            last = index == len(steps) - 1
            name = result if last else self.temporary(f"{result}_{kind.lower()}")
            self.node(kind, [value, *others], [name], **attributes)
            value = name

    def _rename(self, name: str, output: str) -> None:
        """Call what is an output of the model as its caller knows it."""
        computed = {n for node in self.nodes for n in node.output}
        if name not in computed or name in self.graph.outputs:  # a constant, or an output under another name
            self.node("Identity", [name], [output])
            return
        for node in self.nodes:
            for names in (node.input, node.output):
                for index, each in enumerate(names):
                    names[index] = output if each == name else each

    def model(self) -> Any:
        """The ModelProto."""
        onnx = onnx_module()
        for value in dict.fromkeys(self.graph.outputs):
            name = self.read(value)
            if name != value:
                self._rename(name, value)

        def described(names: Sequence[str]) -> list[Any]:
            number = self.helper.np_dtype_to_tensor_dtype
            types = [(name, self.graph.types[name]) for name in names]
            return [self.helper.make_tensor_value_info(n, number(t.dtype.carrier), t.shape) for n, t in types]

        initializers = [onnx.numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        outputs = described(self.graph.outputs)
        graph = self.helper.make_graph(self.nodes, self.graph.name, described(self.graph.inputs), outputs, initializers)
        opset = self.helper.make_opsetid("", OPSET)
        return self.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


def ordered(constant: Array, order: tuple[int, ...]) -> Array:
    """A constant that broadcasts with a value of four axes, with its axes in the value's order."""
    if order == LAST or constant.ndim == 0:
        return constant
    image = constant.reshape((1,) * (4 - constant.ndim) + constant.shape)
    return np.ascontiguousarray(image.transpose(order))


def position(axis: int, order: tuple[int, ...]) -> int:
    """Where an axis of a graph's tensor is in ONNX's."""
    return order.index(axis) if order == FIRST else axis
