"""A TFLite model run operator by operator, each by the kernel of LiteRT's that is right.

The definition of an operator is the reference kernel. Where that is off the real value by more than a step and the
default kernel isn't, as for sums of int8 (docs/numerics.md), it is the default one; where neither is right, TFLM's.
A whole file in the default kernels would differ from the definitions of its other operators, so each operator becomes a
model of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.verify import tflm_rules

WRONG_IN_REFERENCE = frozenset({("reduce_sum", "int8"), ("reduce_sum", "int16"), ("rsqrt", "int16")})
"""(operator of a layer, type of its result), measured with ai-edge-litert 2.3.0."""

_RIGHT_IN_DEFAULT = frozenset({("SUM", "INT8"), ("SUM", "INT16")})
_RIGHT_IN_TFLM = frozenset({("RSQRT", "INT16")})
"""Operators and types of their results that both of LiteRT's resolvers compute wrongly."""


def needs_default_kernels(layers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a layer of a report is one that the reference kernels compute wrongly."""
    return any(
        (layer["op"], entry["dtype"]) in WRONG_IN_REFERENCE for layer in layers for entry in layer["outputs"][:1]
    )


Compute = Callable[[Sequence[Array]], list[Array]]
"""The results of an operator, from the operands that aren't constants."""


def _invoke(interpreter: Any, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of a model of one operator."""
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], np.ascontiguousarray(value).reshape(detail["shape"]))
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]


class Operators:
    """The operators of a subgraph, in their order; static shapes, no variables."""

    def __init__(self, litert: Any, content: bytes, subgraph: int) -> None:
        """`litert`: the module `ai_edge_litert.interpreter`. Raises ValueError, RuntimeError where it refuses one."""
        from ai_edge_litert import schema_py_generated as schema  # pyright: ignore[reportMissingTypeStubs]

        self._schema: Any = schema
        self._model = self._read(content)
        self._graph = self._model.subgraphs[subgraph]
        self._steps = [self._loaded(litert, operator) for operator in self._graph.operators]

    def run(self, given: Mapping[int, Array]) -> dict[int, Array]:
        """The values of inputs and of everything computed, by the number of the tensor."""
        values = dict(given)
        for compute, fed, results in self._steps:
            found = compute([values[tensor] for tensor in fed])
            values.update(zip(results, found, strict=True))
        return values

    def _read(self, content: bytes) -> Any:
        """The file, with constants that stand behind the flatbuffer inside it."""
        model = self._schema.ModelT.InitFromObj(self._schema.Model.GetRootAsModel(content, 0))
        for buffer in model.buffers:
            if buffer.offset > 1:
                data = np.frombuffer(content[buffer.offset : buffer.offset + buffer.size], np.uint8)
                buffer.data, buffer.offset, buffer.size = data, 0, 0
        return model

    def _loaded(self, litert: Any, operator: Any) -> tuple[Compute, list[int], list[int]]:
        """(what computes it, the tensors that it is fed, those that it computes)."""
        content, fed = self._alone(operator)
        if self._is_one_of(operator, _RIGHT_IN_TFLM):
            return self._rsqrt(operator), fed, list(operator.outputs)
        resolvers = litert.OpResolverType
        right_in_default = self._is_one_of(operator, _RIGHT_IN_DEFAULT)
        kernels = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if right_in_default else resolvers.BUILTIN_REF
        interpreter = litert.Interpreter(model_content=content, experimental_op_resolver_type=kernels)
        interpreter.allocate_tensors()
        return partial(_invoke, interpreter), fed, list(operator.outputs)

    def _is_one_of(self, operator: Any, uses: Collection[tuple[str, str]]) -> bool:
        code, types = self._model.operatorCodes[operator.opcodeIndex], self._schema.TensorType
        number, y = max(code.builtinCode, code.deprecatedBuiltinCode), self._graph.tensors[operator.outputs[0]].type
        numbers = self._schema.BuiltinOperator
        return any((number, y) == (getattr(numbers, name), getattr(types, dtype)) for name, dtype in uses)

    def _rsqrt(self, operator: Any) -> Compute:
        x, y = (float(self._graph.tensors[i].quantization.scale[0]) for i in (operator.inputs[0], operator.outputs[0]))
        return lambda inputs: [tflm_rules.rsqrt(inputs[0], x, y)]

    def _alone(self, operator: Any) -> tuple[bytes, list[int]]:
        """A model of one operator, in which constants stay, and the tensors that are its inputs."""
        import flatbuffers  # pyright: ignore[reportMissingTypeStubs] - it has none

        schema, results = self._schema, list(operator.outputs)
        used = list(dict.fromkeys(int(i) for i in (*operator.inputs, *results) if i >= 0))
        place = {tensor: number for number, tensor in enumerate(used)} | {-1: -1}
        part, graph, fed = schema.ModelT(), schema.SubGraphT(), list[int]()
        part.version, part.buffers, graph.tensors = 3, [schema.BufferT()], list[Any]()
        for index in used:
            tensor = copy(self._graph.tensors[index])
            data = self._model.buffers[tensor.buffer].data
            tensor.buffer = 0
            if data is not None and len(data):
                part.buffers.append(schema.BufferT())
                part.buffers[-1].data, tensor.buffer = data, len(part.buffers) - 1
            elif index not in results:
                fed.append(index)
            graph.tensors.append(tensor)
        single = copy(operator)
        single.opcodeIndex = 0
        single.inputs = np.array([place[int(i)] for i in operator.inputs], np.int32)
        single.outputs = np.array([place[int(i)] for i in results], np.int32)
        graph.inputs = np.array([place[i] for i in fed], np.int32)
        graph.outputs, graph.operators = single.outputs, [single]
        part.operatorCodes, part.subgraphs = [self._model.operatorCodes[operator.opcodeIndex]], [graph]
        builder: Any = flatbuffers.Builder(1024)
        builder.Finish(part.Pack(builder), b"TFL3")
        return bytes(builder.Output()), fed
