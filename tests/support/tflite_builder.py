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

import flatbuffers
import numpy as np
import tflite

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
}

OPTIONS = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "EXPAND_DIMS": "ExpandDimsOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "QUANTIZE": "QuantizeOptions",
    "RESHAPE": "ReshapeOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SQUEEZE": "SqueezeOptions",
    "SUB": "SubOptions",
    "TRANSPOSE": "TransposeOptions",
}


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


@dataclass
class OpSpec:
    """One operator as it will be written."""

    code: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: str | None
    fields: dict[str, int | float | bool | Sequence[int]]


@dataclass
class TfliteBuilder:
    """Collects tensors and operators, then writes the file."""

    tensors: list[TensorSpec] = field(default_factory=list)
    ops: list[OpSpec] = field(default_factory=list)
    subgraphs: int = 1

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
        **fields: int | float | bool | Sequence[int],
    ) -> None:
        """Add an operator; `fields` are named as in the schema's generated `<Options>Add<Field>` functions."""
        code = getattr(tflite.BuiltinOperator, name)
        self.ops.append(OpSpec(code, inputs, outputs, OPTIONS.get(name), fields))

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        return _Writer().model(self, inputs, outputs)


class _Writer:
    """Writes the tables, innermost first, as flatbuffers needs it."""

    def __init__(self) -> None:
        self.fb = flatbuffers.Builder(4096)

    def model(self, spec: TfliteBuilder, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        fb = self.fb
        buffers = [self.buffer(None), *(self.buffer(tensor.data) for tensor in spec.tensors)]
        codes = sorted({op.code for op in spec.ops})
        code_tables = [self.operator_code(code) for code in codes]
        graph = self.subgraph(spec, codes, inputs, outputs)
        graphs = self.table_vector([graph] * spec.subgraphs)
        code_vector, buffer_vector = self.table_vector(code_tables), self.table_vector(buffers)
        tflite.ModelStart(fb)
        tflite.ModelAddVersion(fb, 3)
        tflite.ModelAddOperatorCodes(fb, code_vector)
        tflite.ModelAddSubgraphs(fb, graphs)
        tflite.ModelAddBuffers(fb, buffer_vector)
        fb.Finish(tflite.ModelEnd(fb), b"TFL3")
        return bytes(fb.Output())

    def subgraph(self, spec: TfliteBuilder, codes: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]) -> int:
        tensors = self.table_vector([self.tensor(t, i + 1) for i, t in enumerate(spec.tensors)])
        operators = self.table_vector([self.operator(op, codes.index(op.code)) for op in spec.ops])
        input_vector, output_vector = self.ints(inputs), self.ints(outputs)
        tflite.SubGraphStart(self.fb)
        tflite.SubGraphAddTensors(self.fb, tensors)
        tflite.SubGraphAddInputs(self.fb, input_vector)
        tflite.SubGraphAddOutputs(self.fb, output_vector)
        tflite.SubGraphAddOperators(self.fb, operators)
        return tflite.SubGraphEnd(self.fb)

    def operator_code(self, code: int) -> int:
        tflite.OperatorCodeStart(self.fb)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(self.fb, min(code, 127))
        tflite.OperatorCodeAddBuiltinCode(self.fb, code)
        tflite.OperatorCodeAddVersion(self.fb, 1)
        return tflite.OperatorCodeEnd(self.fb)

    def buffer(self, data: bytes | None) -> int:
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
        return tflite.BufferEnd(self.fb)

    def tensor(self, spec: TensorSpec, buffer: int) -> int:
        name = self.fb.CreateSharedString(spec.name)
        shape = self.ints(spec.shape)
        quantization = self.quantization(spec)
        tflite.TensorStart(self.fb)
        tflite.TensorAddShape(self.fb, shape)
        tflite.TensorAddType(self.fb, spec.dtype)
        tflite.TensorAddBuffer(self.fb, buffer if spec.data is not None else 0)
        tflite.TensorAddName(self.fb, name)
        if quantization is not None:
            tflite.TensorAddQuantization(self.fb, quantization)
        tflite.TensorAddIsVariable(self.fb, spec.is_variable)
        return tflite.TensorEnd(self.fb)

    def quantization(self, spec: TensorSpec) -> int | None:
        if spec.scale is None:
            return None
        scale = self.fb.CreateNumpyVector(np.array(spec.scale, np.float32))
        zero_point = self.fb.CreateNumpyVector(np.array(spec.zero_point, np.int64))
        tflite.QuantizationParametersStart(self.fb)
        tflite.QuantizationParametersAddScale(self.fb, scale)
        tflite.QuantizationParametersAddZeroPoint(self.fb, zero_point)
        tflite.QuantizationParametersAddQuantizedDimension(self.fb, spec.axis)
        return tflite.QuantizationParametersEnd(self.fb)

    def operator(self, spec: OpSpec, code_index: int) -> int:
        options = self.options(spec)
        inputs, outputs = self.ints(spec.inputs), self.ints(spec.outputs)
        tflite.OperatorStart(self.fb)
        tflite.OperatorAddOpcodeIndex(self.fb, code_index)
        tflite.OperatorAddInputs(self.fb, inputs)
        tflite.OperatorAddOutputs(self.fb, outputs)
        if options is not None and spec.options is not None:
            tflite.OperatorAddBuiltinOptionsType(self.fb, getattr(tflite.BuiltinOptions, spec.options))
            tflite.OperatorAddBuiltinOptions(self.fb, options)
        return tflite.OperatorEnd(self.fb)

    def options(self, spec: OpSpec) -> int | None:
        if spec.options is None:
            return None
        values = {k: self.ints(v) if isinstance(v, Sequence) else v for k, v in spec.fields.items()}
        getattr(tflite, f"{spec.options}Start")(self.fb)
        for name, value in values.items():
            getattr(tflite, f"{spec.options}Add{name}")(self.fb, value)
        return getattr(tflite, f"{spec.options}End")(self.fb)

    def ints(self, values: Sequence[int]) -> int:
        return self.fb.CreateNumpyVector(np.array(values, np.int32))

    def table_vector(self, tables: Sequence[int]) -> int:
        self.fb.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self.fb.PrependUOffsetTRelative(table)
        return self.fb.EndVector()
