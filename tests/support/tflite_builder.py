"""Builds small TFLite models in memory, through the `tflite` package's generated flatbuffer functions.

b = TfliteBuilder()
x = b.tensor((1, 8, 8, 3), scale=0.5, zero_point=-3)
w = b.constant(weights, scale=[0.1, 0.2], axis=0)
y = b.tensor((1, 8, 8, 2), scale=0.7)
b.op("CONV_2D", [x, w], [y], StrideH=1, StrideW=1, Padding=SAME)
model = b.build(inputs=[x], outputs=[y])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import flatbuffers
import numpy as np
import tflite
from flatbuffers import flexbuffers

SAME, VALID = tflite.Padding.SAME, tflite.Padding.VALID
NONE = tflite.ActivationFunctionType.NONE
RELU = tflite.ActivationFunctionType.RELU
RELU_N1_TO_1 = tflite.ActivationFunctionType.RELU_N1_TO_1
RELU6 = tflite.ActivationFunctionType.RELU6
TANH = tflite.ActivationFunctionType.TANH
NO_TENSOR = -1

TYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "int8": tflite.TensorType.INT8,
    "uint8": tflite.TensorType.UINT8,
    "int16": tflite.TensorType.INT16,
    "int32": tflite.TensorType.INT32,
    "int64": tflite.TensorType.INT64,
    "bool": tflite.TensorType.BOOL,
    "float16": tflite.TensorType.FLOAT16,
    "float64": tflite.TensorType.FLOAT64,
    "uint16": tflite.TensorType.UINT16,
    "uint32": tflite.TensorType.UINT32,
    "uint64": tflite.TensorType.UINT64,
    "int4": tflite.TensorType.INT4,
    "bfloat16": 18,
    "int2": 19,
    "uint4": 20,
    "resource": tflite.TensorType.RESOURCE,
}

_IRREGULAR = {
    "ATAN2": "ATan2Options",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "BidirectionalSequenceLSTMOptions",
    "BIDIRECTIONAL_SEQUENCE_RNN": "BidirectionalSequenceRNNOptions",
    "CONV_3D_TRANSPOSE": "Conv3DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "LSTM": "LSTMOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "PADV2": "PadV2Options",
    "REDUCE_ALL": "ReducerOptions",
    "REDUCE_ANY": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "RNN": "RNNOptions",
    "SUM": "ReducerOptions",
    "SVDF": "SVDFOptions",
    "TOPK_V2": "TopKV2Options",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTMOptions",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
}


def _options() -> dict[str, str]:
    """An operator's option table is named as itself in the schema, but for a few: CONV_2D has Conv2DOptions."""
    found = dict[str, str]()
    for name in (name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)):
        table = "".join(part.upper() if part[0].isdigit() else part.capitalize() for part in name.split("_"))
        if hasattr(tflite.BuiltinOptions, f"{table}Options"):
            found[name] = f"{table}Options"
    return found | _IRREGULAR


OPTIONS = _options()
"""Table by operator; those that aren't here have none."""


@dataclass
class TensorSpec:
    """One tensor as it will be written; tests of malformed models edit these."""

    name: str
    shape: Sequence[int]
    dtype: int
    scale: Sequence[float] | None
    zero_point: Sequence[int] | None
    axis: int
    data: bytes | None
    is_variable: bool = False
    signature: Sequence[int] | None = None
    """Its shape_signature, in which -1 is dynamic."""
    place: tuple[int, int] | None = None
    """(offset, size) that its buffer claims, whatever data it has."""
    external: int | None = None
    """Its external_buffer, a field that the `tflite` package doesn't have."""
    blocks: dict[int, int] | None = None
    """Fields of its BlockwiseQuantization by number: the tensors of scales and zero points, the elements of a block."""


CodeForm = Literal["both", "deprecated", "newer"]
"""Where an operator's number stands: in both fields (127 in the older one if it is above), or in one only."""


@dataclass
class OpSpec:
    """One operator as it will be written."""

    code: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: str | None
    fields: dict[str, int | float | bool | str | Sequence[int]]
    version: int = 1
    form: CodeForm = "both"
    intermediates: Sequence[int] | None = None
    mutating: Sequence[bool] | None = None
    newer: dict[int, int] = field(default_factory=dict)
    """Fields of the options by number that the schema doesn't have."""
    custom: str = ""
    """The name of a custom operator."""
    custom_options: dict[str, int | float | bool] = field(default_factory=dict)

    @property
    def key(self) -> tuple[int, int, CodeForm, str]:
        """What the file lists once for all operators that share it."""
        return self.code, self.version, self.form, self.custom


@dataclass
class SubgraphSpec:
    """A subgraph of its own: what it computes, its inputs and outputs."""

    content: TfliteBuilder
    inputs: Sequence[int]
    outputs: Sequence[int]


@dataclass
class SignatureSpec:
    """A SignatureDef: names of tensors of a subgraph."""

    key: str
    inputs: dict[str, int]
    outputs: dict[str, int]
    subgraph: int = 0


@dataclass
class TfliteBuilder:
    """Collects tensors and operators, then writes the file."""

    tensors: list[TensorSpec] = field(default_factory=list)
    ops: list[OpSpec] = field(default_factory=list)
    subgraphs: int = 1
    outside: int | None = None
    """Constants of at least so many bytes stand behind the flatbuffer."""
    signatures: list[SignatureSpec] = field(default_factory=list)
    others: list[SubgraphSpec] = field(default_factory=list)
    """More subgraphs, after those."""

    def tensor(
        self,
        shape: Sequence[int],
        scale: float | Sequence[float] | np.ndarray | None = None,
        zero_point: int = 0,
        *,
        dtype: str = "int8",
        axis: int = 0,
        name: str | None = None,
        data: bytes | None = None,
    ) -> int:
        """Add a tensor; returns its index."""
        scales = None if scale is None else [float(s) for s in np.atleast_1d(scale)]
        zeros = None if scales is None else [zero_point] * len(scales)
        name = f"t{len(self.tensors)}" if name is None else name
        self.tensors.append(TensorSpec(name, list(shape), TYPES[dtype], scales, zeros, axis, data))
        return len(self.tensors) - 1

    def constant(
        self,
        values: np.ndarray,
        scale: float | Sequence[float] | np.ndarray | None = None,
        zero_point: int = 0,
        axis: int = 0,
        name: str | None = None,
    ) -> int:
        data = np.ascontiguousarray(values).tobytes()
        return self.tensor(values.shape, scale, zero_point, dtype=values.dtype.name, axis=axis, data=data, name=name)

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        **fields: int | float | bool | str | Sequence[int],
    ) -> OpSpec:
        """Add an operator and return it; `fields` are named as in the generated `<Options>Add<Field>` functions."""
        code = getattr(tflite.BuiltinOperator, name)
        self.ops.append(OpSpec(code, inputs, outputs, OPTIONS.get(name), fields))
        return self.ops[-1]

    def custom(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: dict[str, int | float | bool]
    ) -> OpSpec:
        """Add an operator that the schema doesn't have, with options in a flexbuffer."""
        op = OpSpec(tflite.BuiltinOperator.CUSTOM, inputs, outputs, None, {}, custom=name, custom_options=options)
        self.ops.append(op)
        return op

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        return _Writer().file(self, inputs, outputs)


BLOCKWISE = 2
"""The number of BlockwiseQuantization among the details of a quantisation."""

EXTERNAL_BUFFER = 10
"""The number of the field."""

ALIGNMENT = 16
"""Of constants; a multiple of it also of those behind the flatbuffer."""


class _Writer:
    """Writes the tables, innermost first, as flatbuffers needs it."""

    def __init__(self, places: dict[int, int] | None = None) -> None:
        """`places`: where the buffers behind the flatbuffer begin; None while that isn't known."""
        self.fb = flatbuffers.Builder(4096)
        self.places = places or {}
        self.outside: list[tuple[int, bytes]] = []

    def file(self, spec: TfliteBuilder, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """Written twice where constants stand behind the flatbuffer: their places depend on its size only."""
        content = bytearray(self.model(spec, inputs, outputs))
        if not self.outside:
            return bytes(content)
        places, end = dict[int, int](), len(content)
        for number, data in self.outside:
            places[number] = end = -(-end // ALIGNMENT) * ALIGNMENT
            end += len(data)
        again = _Writer(places)
        content = bytearray(again.model(spec, inputs, outputs))
        for number, data in again.outside:
            content.extend(bytes(places[number] - len(content)) + data)
        return bytes(content)

    def model(self, spec: TfliteBuilder, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        fb = self.fb
        graphs = [SubgraphSpec(spec, inputs, outputs)] * spec.subgraphs + spec.others
        contents = list(dict.fromkeys(id(graph.content) for graph in graphs))
        tensors = [t for key in contents for t in next(g.content for g in graphs if id(g.content) == key).tensors]
        numbers = {id(tensor): number for number, tensor in enumerate(tensors, 1)}
        buffers = [self.buffer(None)]
        buffers += [self.place(tensor, spec.outside, number) for number, tensor in enumerate(tensors, 1)]
        codes = sorted({op.key for graph in graphs for op in graph.content.ops})
        code_tables = [self.operator_code(*code) for code in codes]
        graph_tables = [self.subgraph(graph, codes, numbers) for graph in graphs]
        graph_vector, signatures = self.table_vector(graph_tables), self.signatures(spec)
        code_vector, buffer_vector = self.table_vector(code_tables), self.table_vector(buffers)
        tflite.ModelStart(fb)
        tflite.ModelAddVersion(fb, 3)
        tflite.ModelAddOperatorCodes(fb, code_vector)
        tflite.ModelAddSubgraphs(fb, graph_vector)
        tflite.ModelAddBuffers(fb, buffer_vector)
        if signatures is not None:
            tflite.ModelAddSignatureDefs(fb, signatures)
        fb.Finish(tflite.ModelEnd(fb), b"TFL3")
        return bytes(fb.Output())

    def subgraph(self, spec: SubgraphSpec, codes: Sequence[object], numbers: dict[int, int]) -> int:
        tensors = self.table_vector([self.tensor(t, numbers[id(t)]) for t in spec.content.tensors])
        operators = self.table_vector([self.operator(op, codes.index(op.key)) for op in spec.content.ops])
        input_vector, output_vector = self.ints(spec.inputs), self.ints(spec.outputs)
        tflite.SubGraphStart(self.fb)
        tflite.SubGraphAddTensors(self.fb, tensors)
        tflite.SubGraphAddInputs(self.fb, input_vector)
        tflite.SubGraphAddOutputs(self.fb, output_vector)
        tflite.SubGraphAddOperators(self.fb, operators)
        return tflite.SubGraphEnd(self.fb)

    def signatures(self, spec: TfliteBuilder) -> int | None:
        return self.table_vector([self.signature(each) for each in spec.signatures]) if spec.signatures else None

    def signature(self, spec: SignatureSpec) -> int:
        key = self.fb.CreateString(spec.key)
        inputs, outputs = (
            self.table_vector([self.tensor_map(name, index) for name, index in places.items()])
            for places in (spec.inputs, spec.outputs)
        )
        tflite.SignatureDefStart(self.fb)
        tflite.SignatureDefAddSignatureKey(self.fb, key)
        tflite.SignatureDefAddInputs(self.fb, inputs)
        tflite.SignatureDefAddOutputs(self.fb, outputs)
        tflite.SignatureDefAddSubgraphIndex(self.fb, spec.subgraph)
        return tflite.SignatureDefEnd(self.fb)

    def tensor_map(self, name: str, index: int) -> int:
        text = self.fb.CreateString(name)
        tflite.TensorMapStart(self.fb)
        tflite.TensorMapAddName(self.fb, text)
        tflite.TensorMapAddTensorIndex(self.fb, index)
        return tflite.TensorMapEnd(self.fb)

    def operator_code(self, code: int, version: int, form: CodeForm, custom: str) -> int:
        name = self.fb.CreateString(custom) if custom else None
        tflite.OperatorCodeStart(self.fb)
        if name is not None:
            tflite.OperatorCodeAddCustomCode(self.fb, name)
        if form != "newer":
            tflite.OperatorCodeAddDeprecatedBuiltinCode(self.fb, min(code, 127))
        if form != "deprecated":
            tflite.OperatorCodeAddBuiltinCode(self.fb, code)
        tflite.OperatorCodeAddVersion(self.fb, version)
        return tflite.OperatorCodeEnd(self.fb)

    def place(self, tensor: TensorSpec, outside: int | None, number: int) -> int:
        """A constant's buffer: its data, or where that is behind the flatbuffer."""
        data = tensor.data
        if tensor.place is not None:
            return self.buffer(data or None, tensor.place)
        if data is None or outside is None or len(data) < outside:
            return self.buffer(data)
        self.outside.append((number, data))
        return self.buffer(None, (self.places.get(number, 1 << 40), len(data)))

    def buffer(self, data: bytes | None, place: tuple[int, int] | None = None) -> int:
        if data is not None:
            # Kernels read the data in place, so it has to be aligned like any scalar type.
            self.fb.StartVector(1, len(data), 16)
            self.fb.head -= len(data)
            self.fb.Bytes[self.fb.Head() : self.fb.Head() + len(data)] = data
            vector = self.fb.EndVector()
        else:
            vector = None
        tflite.BufferStart(self.fb)
        if vector is not None:
            tflite.BufferAddData(self.fb, vector)
        if place is not None:
            tflite.BufferAddOffset(self.fb, place[0])
            tflite.BufferAddSize(self.fb, place[1])
        return tflite.BufferEnd(self.fb)

    def tensor(self, spec: TensorSpec, buffer: int) -> int:
        name = self.fb.CreateSharedString(spec.name)
        shape = self.ints(spec.shape)
        signature = None if spec.signature is None else self.ints(spec.signature)
        quantization = self.quantization(spec)
        if spec.external is None:
            tflite.TensorStart(self.fb)
        else:
            self.fb.StartObject(EXTERNAL_BUFFER + 1)
            self.fb.PrependUint32Slot(EXTERNAL_BUFFER, spec.external, 0)
        tflite.TensorAddShape(self.fb, shape)
        tflite.TensorAddType(self.fb, spec.dtype)
        tflite.TensorAddBuffer(self.fb, buffer if spec.data is not None else 0)
        tflite.TensorAddName(self.fb, name)
        if quantization is not None:
            tflite.TensorAddQuantization(self.fb, quantization)
        tflite.TensorAddIsVariable(self.fb, spec.is_variable)
        if signature is not None:
            tflite.TensorAddShapeSignature(self.fb, signature)
        return tflite.TensorEnd(self.fb)

    def blockwise(self, fields: dict[int, int]) -> int:
        self.fb.StartObject(4)
        for number, value in fields.items():
            self.fb.PrependInt32Slot(number, value, 0)
        details = self.fb.EndObject()
        tflite.QuantizationParametersStart(self.fb)
        tflite.QuantizationParametersAddDetailsType(self.fb, BLOCKWISE)
        tflite.QuantizationParametersAddDetails(self.fb, details)
        return tflite.QuantizationParametersEnd(self.fb)

    def quantization(self, spec: TensorSpec) -> int | None:
        if spec.blocks is not None:
            return self.blockwise(spec.blocks)
        if spec.scale is None:
            return None
        scale = self.fb.CreateNumpyVector(np.array(spec.scale, np.float32))
        zero_point = None
        if spec.zero_point is not None:
            zero_point = self.fb.CreateNumpyVector(np.array(spec.zero_point, np.int64))
        tflite.QuantizationParametersStart(self.fb)
        tflite.QuantizationParametersAddScale(self.fb, scale)
        if zero_point is not None:
            tflite.QuantizationParametersAddZeroPoint(self.fb, zero_point)
        tflite.QuantizationParametersAddQuantizedDimension(self.fb, spec.axis)
        return tflite.QuantizationParametersEnd(self.fb)

    def operator(self, spec: OpSpec, code_index: int) -> int:
        options = self.options(spec)
        inputs, outputs = self.ints(spec.inputs), self.ints(spec.outputs)
        intermediates = None if spec.intermediates is None else self.ints(spec.intermediates)
        mutating = None if spec.mutating is None else self.fb.CreateNumpyVector(np.array(spec.mutating, np.bool_))
        custom = None
        if spec.custom_options:
            custom = self.fb.CreateByteVector(bytes(flexbuffers.Dumps(spec.custom_options)))
        tflite.OperatorStart(self.fb)
        tflite.OperatorAddOpcodeIndex(self.fb, code_index)
        tflite.OperatorAddInputs(self.fb, inputs)
        tflite.OperatorAddOutputs(self.fb, outputs)
        if intermediates is not None:
            tflite.OperatorAddIntermediates(self.fb, intermediates)
        if mutating is not None:
            tflite.OperatorAddMutatingVariableInputs(self.fb, mutating)
        if custom is not None:
            tflite.OperatorAddCustomOptions(self.fb, custom)
        if options is not None and spec.options is not None:
            tflite.OperatorAddBuiltinOptionsType(self.fb, getattr(tflite.BuiltinOptions, spec.options))
            tflite.OperatorAddBuiltinOptions(self.fb, options)
        return tflite.OperatorEnd(self.fb)

    def options(self, spec: OpSpec) -> int | None:
        if spec.options is None:
            return None
        values = {k: self.vector(v) if isinstance(v, Sequence) else v for k, v in spec.fields.items()}
        if spec.newer:
            self.fb.StartObject(1 + max(spec.newer))
        else:
            getattr(tflite, f"{spec.options}Start")(self.fb)
        for number, value in spec.newer.items():
            self.fb.PrependInt32Slot(number, value, 0)
        for name, value in values.items():
            getattr(tflite, f"{spec.options}Add{name}")(self.fb, value)
        return getattr(tflite, f"{spec.options}End")(self.fb)

    def vector(self, values: str | Sequence[int]) -> int:
        return self.fb.CreateString(values) if isinstance(values, str) else self.ints(values)

    def ints(self, values: Sequence[int]) -> int:
        return self.fb.CreateNumpyVector(np.array(values, np.int32))

    def table_vector(self, tables: Sequence[int]) -> int:
        self.fb.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self.fb.PrependUOffsetTRelative(table)
        return self.fb.EndVector()
