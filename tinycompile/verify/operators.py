"""A TFLite model run operator by operator, each by the kernel that defines it.

No runtime has all operators, and each is wrong somewhere (docs/numerics.md). A whole file in another one would differ
from the definitions of its other operators, so each operator becomes a model of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.ir import Array
from tinycompile.verify.resource_variables import Variables
from tinycompile.verify.runtimes import TFLM_WHEEL, Kernels, RefusedError, Run, all_kernels, preference

Shape = tuple[int, ...]


TFLM_IS_MISSING = "TFLM's wheel, whose kernel it is, isn't installed"


@dataclass
class Step:
    """An operator.

    Attributes:
        fed, results: tensors that it reads, constants not among them, and those that it computes.
        alone: makes a model of it for tensors of these shapes.
        dynamic: whether the shape of a result wasn't known when the file was written.
        kernels: what computes it, the first that can: known after a run; None if nothing does.
        is_variable: whether it reads, assigns or names a variable, which no runtime does of an operator alone.
        widened: whether its weights are given as int8 that the file has packed: a run of the whole file is wrong.
    """

    name: str
    fed: list[int]
    results: list[int]
    alone: Callable[[Mapping[int, Shape]], bytes]
    dynamic: bool
    candidates: list[Kernels]
    widened: bool = False
    is_variable: bool = False
    kernels: Kernels | None = None
    reasons: list[str] = field(default_factory=list[str])
    _run: Run | None = None

    def run(self, values: Mapping[int, Array]) -> list[Array] | None:
        """Its results; None where no runtime has it."""
        operands = [values[tensor] for tensor in self.fed]
        shapes = {tensor: values[tensor].shape for tensor in self.fed}
        while self._run is not None or self.candidates:
            try:
                if self._run is None:
                    self.kernels = self.candidates.pop(0)
                    self._run = self.kernels.load(self.alone(shapes | self._inferred(self.kernels, shapes, operands)))
                return self._run(operands)
            except RefusedError as error:
                name = "" if self.kernels is None else self.kernels.name
                self.reasons.append(f"{name}: {' '.join(str(error).split())[:120]}")
                self.kernels, self._run = None, None
        return None

    def _inferred(self, kernels: Kernels, shapes: Mapping[int, Shape], operands: Sequence[Array]) -> dict[int, Shape]:
        """Shapes of results that the file doesn't say, for a runtime that doesn't infer any: those of one that does."""
        others = [other for other in self.candidates if other.infers]
        if not self.dynamic or kernels.infers or not others:
            return {}
        results = others[0].load(self.alone(shapes))(operands)
        return {tensor: result.shape for tensor, result in zip(self.results, results, strict=True)}


class Operators:
    """The operators of a subgraph, in their order. A variable lives in the operator that has it, from run to run.

    Attributes:
        inputs, outputs: details of its tensors, as LiteRT's interpreter gives them.
    """

    def __init__(self, content: bytes, subgraph: int, match: Runtime = "litert") -> None:
        """Raises ToolMissingError without the runtimes that are needed."""
        from ai_edge_litert import schema_py_generated as schema  # pyright: ignore[reportMissingTypeStubs]

        self._schema: Any = schema
        self._names = _numbered(self._schema.BuiltinOperator)
        self._types = {number: name.lower() for number, name in _numbered(self._schema.TensorType).items()}
        self._model = self._read(content)
        self._graph = self._model.subgraphs[subgraph]
        self._match: Runtime = match
        self._variables = Variables(self._model, self._graph, self._types, self._names)
        kernels = all_kernels(match)
        self.steps = [self._step(kernels, operator) for operator in self._graph.operators]
        self.inputs = [self._detail(int(index)) for index in self._graph.inputs]
        self.outputs = [self._detail(int(index)) for index in self._graph.outputs]

    def computed(self, given: Mapping[int, Array], measured: Callable[[int], Array | None]) -> dict[int, Array]:
        """The values of inputs, of constants that are outputs, and of everything computed, by the number of the tensor.

        Args:
            measured: what the firmware computed; where no runtime has an operator, the next ones go on from there.

        Raises:
            RefusedError: nothing has the operator, and the firmware doesn't report its result whole.
        """
        values = {**self._constant_outputs(), **given}
        for step in self.steps:
            if step.is_variable:
                values.update(self._variables.run(step.name, step.fed, step.results, values))
                continue
            results = step.run(values)
            if results is None:
                results = [_whole(measured(tensor), step) for tensor in step.results]
            values.update(zip(step.results, results, strict=True))
        return values

    @property
    def unwitnessed(self) -> set[int]:
        """Tensors that no runtime computed, and variables, which stay inside of the operator that has them."""
        computed = (step for step in self.steps if not (step.kernels or step.is_variable))
        variables = {index for index, tensor in enumerate(self._graph.tensors) if tensor.isVariable}
        return variables.union(*(step.results for step in computed))

    def _constant_outputs(self) -> dict[int, Array]:
        """Outputs that no operator computes and nobody gives."""
        found = dict[int, Array]()
        for index in map(int, self._graph.outputs):
            if self._is_constant(index):
                data, detail = self._model.buffers[self._graph.tensors[index].buffer].data, self._detail(index)
                found[index] = np.frombuffer(np.asarray(data, np.uint8).tobytes(), detail["dtype"])
        return found

    def _detail(self, index: int) -> dict[str, Any]:
        tensor = self._graph.tensors[index]
        scales, zeros = (listed(tensor.quantization, name) for name in ("scale", "zeroPoint"))
        return {
            "index": index,
            "name": (tensor.name or b"").decode("utf-8", "replace"),
            "dtype": np.dtype(self._types[tensor.type]).type,
            "shape": np.array(listed(tensor, "shape"), np.int32),
            "quantization": (float(scales[0]), int(zeros[0]) if zeros else 0) if len(scales) == 1 else (0.0, 0),
        }

    def _read(self, content: bytes) -> Any:
        """The file, with constants that stand behind the flatbuffer inside it."""
        model = self._schema.ModelT.InitFromObj(self._schema.Model.GetRootAsModel(content, 0))
        for buffer in model.buffers:
            if buffer.offset > 1:
                data = np.frombuffer(content[buffer.offset : buffer.offset + buffer.size], np.uint8)
                buffer.data, buffer.offset, buffer.size = data, 0, 0
        return model

    def _step(self, kernels: Mapping[Any, Kernels], operator: Any) -> Step:
        code = self._model.operatorCodes[operator.opcodeIndex]
        custom: bytes | None = code.customCode
        name = custom.decode() if custom else self._names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if self._variables.takes(name):
            read, found = (
                [] if part is None else [int(i) for i in part] for part in (operator.inputs, operator.outputs)
            )
            return Step(name, read, found, lambda _: b"", False, [], is_variable=True)
        types = [self._types[self._graph.tensors[int(i)].type] for i in (operator.outputs[0], *operator.inputs[:1])]
        dtype = "float32" if "float32" in types else types[-1] if types[0] == "bool" else types[0]
        blocks = self._has_blocks(operator)
        order = list[str]() if blocks else preference(name, dtype, self._match)
        reasons = ["their kernels for weights with a scale for each block are wrong"] if blocks else []
        candidates = [kernels[oracle] for oracle in order if oracle in kernels]
        reasons += [TFLM_IS_MISSING] if order[:1] == ["tflm"] and "tflm" not in kernels else []
        results = [int(i) for i in operator.outputs]
        dynamic = any(n < 0 for i in results for n in listed(self._graph.tensors[i], "shapeSignature"))
        fed = [i for i in _used(operator) if i not in results and not self._keeps_its_value(i)]
        widened = [int(i) for i in operator.inputs if i >= 0 and self._is_misread(int(i), name, dtype)]
        step = Step(
            name,
            fed,
            results,
            lambda shapes: self._alone(operator, fed, shapes, widened),
            dynamic,
            candidates,
            bool(widened),
        )
        step.reasons += reasons
        return step

    def _has_bodies(self, operator: Any) -> bool:
        """Whether it is one of control flow, which runs other subgraphs."""
        options = self._schema.BuiltinOptions
        return operator.builtinOptionsType in (options.IfOptions, options.WhileOptions)

    def _add_bodies(self, part: Any, single: Any, operator: Any) -> None:
        """All of the file's subgraphs but the first, under their numbers, with constants and operators' codes."""
        first = len(part.buffers)
        part.buffers += self._model.buffers
        for graph in self._model.subgraphs[1:]:
            own = copy(graph)
            own.tensors = [copy(tensor) for tensor in graph.tensors]
            for tensor in own.tensors:
                tensor.buffer += first
            part.subgraphs.append(own)
        part.operatorCodes, single.opcodeIndex = self._model.operatorCodes, operator.opcodeIndex

    def _has_blocks(self, operator: Any) -> bool:
        """Whether weights have a scale for each block of a row, which no reference kernel computes rightly."""
        tensors = [self._graph.tensors[int(index)] for index in operator.inputs if index >= 0]
        blockwise = self._schema.QuantizationDetails.BlockwiseQuantization
        return any(t.quantization is not None and t.quantization.detailsType == blockwise for t in tensors)

    def _is_misread(self, index: int, operator: str, dtype: str) -> bool:
        """Whether LiteRT takes packed weights for bytes, or refuses them, while int8 of the same values are right."""
        packed = self._types[self._graph.tensors[index].type]
        if packed == "int4":
            return operator == "DEPTHWISE_CONV_2D" and dtype != "int8"
        return packed == "int2" and operator in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")

    def _is_constant(self, index: int) -> bool:
        data = self._model.buffers[self._graph.tensors[index].buffer].data
        return data is not None and len(data) > 0

    def _keeps_its_value(self, index: int) -> bool:
        """Whether nobody gives a tensor's value: it is in the file, or what the operator left of the step before."""
        return self._is_constant(index) or bool(self._graph.tensors[index].isVariable)

    @property
    def has_variables(self) -> bool:
        return any(tensor.isVariable for tensor in self._graph.tensors)

    def _alone(
        self, operator: Any, fed: Sequence[int], shapes: Mapping[int, Shape], widened: Sequence[int] = ()
    ) -> bytes:
        """A model of one operator, which is fed some tensors; constants stay in it. Some shapes are others, and some
        packed constants are int8 in it."""
        import flatbuffers  # pyright: ignore[reportMissingTypeStubs] - it has none

        schema, inner = self._schema, [int(i) for i in listed(operator, "intermediates")]
        used = list(dict.fromkeys([*_used(operator), *inner]))
        place = {tensor: number for number, tensor in enumerate(used)} | {-1: -1}
        part, graph = schema.ModelT(), schema.SubGraphT()
        part.version, part.buffers, graph.tensors = 3, [schema.BufferT()], list[Any]()
        for index in used:
            tensor = copy(self._graph.tensors[index])
            data = self._model.buffers[tensor.buffer].data
            tensor.buffer = 0
            if index in shapes:
                tensor.shape = np.array(shapes[index], np.int32)
            if index in widened:
                values = integers(
                    np.asarray(data, np.uint8).tobytes(), self._types[tensor.type], listed(tensor, "shape")
                )
                data, tensor.type = np.frombuffer(values.tobytes(), np.uint8), schema.TensorType.INT8
            if self._is_constant(index):
                part.buffers.append(schema.BufferT())
                part.buffers[-1].data, tensor.buffer = data, len(part.buffers) - 1
            graph.tensors.append(tensor)
        single = copy(operator)
        single.opcodeIndex = 0
        single.inputs = np.array([place[int(i)] for i in operator.inputs], np.int32)
        single.outputs = np.array([place[int(i)] for i in operator.outputs], np.int32)
        single.intermediates = np.array([place[i] for i in inner], np.int32) if inner else None
        graph.inputs = np.array([place[i] for i in fed], np.int32)
        graph.outputs, graph.operators = single.outputs, [single]
        part.operatorCodes, part.subgraphs = [self._model.operatorCodes[operator.opcodeIndex]], [graph]
        if self._has_bodies(operator):
            self._add_bodies(part, single, operator)
        builder: Any = flatbuffers.Builder(1024)
        builder.Finish(part.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def integers(data: bytes, dtype: str, shape: Sequence[int]) -> Array:
    """The elements of a constant, those of fewer than 8 bits from packed bytes, the lowest bits first."""
    if dtype not in ("int2", "int4"):
        return np.frombuffer(data, dtype).reshape(shape)
    bits = int(dtype.removeprefix("int"))
    sign, places = 2 ** (bits - 1), np.array(range(0, 8, bits), np.uint8)
    fields: Array = np.right_shift.outer(np.frombuffer(data, np.uint8), places) & (2**bits - 1)
    values: Array = fields.astype(np.int8).ravel()[: prod(shape)]
    return ((values ^ sign) - sign).reshape(shape)


def _used(operator: Any) -> list[int]:
    """An operator's tensors, each once."""
    return list(dict.fromkeys(int(i) for i in (*operator.inputs, *operator.outputs) if i >= 0))


def _numbered(names: Any) -> dict[int, str]:
    """An enumeration of the schema's by number."""
    return {number: name for name in dir(names) if isinstance(number := getattr(names, name), int)}


def listed(table: Any, name: str) -> list[Any]:
    """A vector of the file; empty where it, or what it is in, isn't there."""
    vector: Any = None if table is None else getattr(table, name)
    return [] if vector is None else list(vector)


def _whole(value: Array | None, step: Step) -> Array:
    if value is None:
        hint = TFLM_WHEEL if TFLM_IS_MISSING in step.reasons else ""
        raise RefusedError(f"no runtime has the operator {step.name} ({'; '.join(step.reasons)})", hint)
    return value
