"""A TFLite model run operator by operator, each by the kernel of LiteRT's that is right.

The definition of an operator is the reference kernel. Where that is off the real value by more than a step and the
default kernel isn't, as for sums of int8 (docs/numerics.md), it is the default one. A whole file in the default kernels
would differ from the definitions of its other operators, so each operator becomes a model of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from tinycompile.ir import Array

WRONG_IN_REFERENCE = frozenset({("reduce_sum", "int8")})
"""(operator of a layer, type of its result), measured with ai-edge-litert 2.3.0."""

_WRONG_CODES = frozenset({"SUM"})


def needs_default_kernels(layers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a layer of a report is one that the reference kernels compute wrongly."""
    return any(
        (layer["op"], entry["dtype"]) in WRONG_IN_REFERENCE for layer in layers for entry in layer["outputs"][:1]
    )


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
        for interpreter, fed, results in self._steps:
            for detail, tensor in zip(interpreter.get_input_details(), fed, strict=True):
                value = np.ascontiguousarray(values[tensor]).reshape(detail["shape"])
                interpreter.set_tensor(detail["index"], value)
            interpreter.invoke()
            for detail, tensor in zip(interpreter.get_output_details(), results, strict=True):
                values[tensor] = interpreter.get_tensor(detail["index"]).copy()
        return values

    def _read(self, content: bytes) -> Any:
        """The file, with constants that stand behind the flatbuffer inside it."""
        model = self._schema.ModelT.InitFromObj(self._schema.Model.GetRootAsModel(content, 0))
        for buffer in model.buffers:
            if buffer.offset > 1:
                data = np.frombuffer(content[buffer.offset : buffer.offset + buffer.size], np.uint8)
                buffer.data, buffer.offset, buffer.size = data, 0, 0
        return model

    def _loaded(self, litert: Any, operator: Any) -> tuple[Any, list[int], list[int]]:
        """(interpreter, the tensors that it is fed, those that it computes)."""
        code = self._model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        wrong = {getattr(self._schema.BuiltinOperator, name) for name in _WRONG_CODES}
        is_int8 = self._graph.tensors[operator.outputs[0]].type == self._schema.TensorType.INT8
        resolvers = litert.OpResolverType
        kernels = resolvers.BUILTIN_REF
        if number in wrong and is_int8:
            kernels = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        content, fed = self._alone(operator)
        interpreter = litert.Interpreter(model_content=content, experimental_op_resolver_type=kernels)
        interpreter.allocate_tensors()
        return interpreter, fed, list(operator.outputs)

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
