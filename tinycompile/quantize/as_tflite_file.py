"""A `.tflite` file as it is written: one subgraph, its constants, and operators by the names of TFLite's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import flatbuffers  # pyright: ignore[reportMissingTypeStubs] - it has none
import numpy as np

from tinycompile.dtypes import INT4, INT8, INT32, INT64, DType
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.ir import Array, Quantization

_SCHEMA: Any = cast(Any, tflite)
_TYPES = {INT4: "INT4", INT8: "INT8", INT32: "INT32", INT64: "INT64"}
_ALIGNMENT = 16
"""Bytes: kernels read constants where they stand."""
_IDENTIFIER = b"TFL3"
_VERSION = 3
_LAST_DEPRECATED = 127
"""Numbers of operators above stand in the newer of two fields only."""

Option = int | float | bool | Sequence[int]


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor.

    Attributes:
        values: of a constant.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quant: Quantization | None
    values: Array | None = None


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator.

    Attributes:
        kind: as in `BuiltinOperator`. table: of its options in the schema, "" for none.
        options: by the schema's field names, in capitals as the generated functions have them.
    """

    kind: str
    version: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    table: str = ""
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])


@dataclass(frozen=True, eq=False)
class TfliteModel:
    """A model with one subgraph; inputs and outputs are numbers of tensors."""

    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: Sequence[int]
    outputs: Sequence[int]
    description: str

    def content(self) -> bytes:
        """The file."""
        return _Writer().file(self)


class _Writer:
    """Tables are written innermost first, as flatbuffers needs it."""

    def __init__(self) -> None:
        self.builder: Any = cast(Any, flatbuffers).Builder(4096)

    def file(self, model: TfliteModel) -> bytes:
        constants = [tensor for tensor in model.tensors if tensor.values is not None]
        numbers = {id(tensor): number for number, tensor in enumerate(constants, 1)}
        codes = sorted({(operator.kind, operator.version) for operator in model.operators})
        subgraph = self._table(
            "SubGraph",
            Tensors=self._tables([self._tensor(each, numbers.get(id(each), 0)) for each in model.tensors]),
            Inputs=self._integers(model.inputs),
            Outputs=self._integers(model.outputs),
            Operators=self._tables([self._operator(each, codes) for each in model.operators]),
        )
        buffers = [self._table("Buffer"), *(self._table("Buffer", Data=self._data(each)) for each in constants)]
        found = self._table(
            "Model",
            Version=_VERSION,
            OperatorCodes=self._tables([self._code(*each) for each in codes]),
            Subgraphs=self._tables([subgraph]),
            Buffers=self._tables(buffers),
            Description=self.builder.CreateString(model.description),
        )
        self.builder.Finish(found, _IDENTIFIER)
        return bytes(self.builder.Output())

    def _table(self, name: str, **fields: Any) -> int:
        """A table with these fields."""
        getattr(_SCHEMA, f"{name}Start")(self.builder)
        for key, value in fields.items():
            if value is not None:
                getattr(_SCHEMA, f"{name}Add{key}")(self.builder, value)
        return getattr(_SCHEMA, f"{name}End")(self.builder)

    def _tables(self, tables: Sequence[int]) -> int:
        self.builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self.builder.PrependUOffsetTRelative(table)
        return self.builder.EndVector()

    def _integers(self, values: Sequence[int]) -> int:
        return self.builder.CreateNumpyVector(np.array(values, np.int32))

    def _data(self, tensor: Tensor) -> int:
        data = tensor.dtype.pack(np.ascontiguousarray(tensor.values)).tobytes()
        self.builder.StartVector(1, len(data), _ALIGNMENT)
        self.builder.head -= len(data)
        self.builder.Bytes[self.builder.Head() : self.builder.Head() + len(data)] = data
        return self.builder.EndVector()

    def _tensor(self, tensor: Tensor, buffer: int) -> int:
        name, shape, quant = self.builder.CreateString(tensor.name), self._integers(tensor.shape), None
        if tensor.quant is not None:
            scale = self.builder.CreateNumpyVector(tensor.quant.scale.astype(np.float32))
            zero_point = self.builder.CreateNumpyVector(tensor.quant.zero_point.astype(np.int64))
            axis = tensor.quant.axis or 0
            quant = self._table("QuantizationParameters", Scale=scale, ZeroPoint=zero_point, QuantizedDimension=axis)
        kind = getattr(_SCHEMA.TensorType, _TYPES[tensor.dtype])
        return self._table("Tensor", Shape=shape, Type=kind, Buffer=buffer, Name=name, Quantization=quant)

    def _code(self, kind: str, version: int) -> int:
        number = getattr(_SCHEMA.BuiltinOperator, kind)
        older = min(number, _LAST_DEPRECATED)
        return self._table("OperatorCode", DeprecatedBuiltinCode=older, BuiltinCode=number, Version=version)

    def _operator(self, operator: Operator, codes: Sequence[tuple[str, int]]) -> int:
        options, kind = None, None
        if operator.table:
            fields = {
                name: self._integers(value) if isinstance(value, Sequence) else value
                for name, value in operator.options.items()
            }
            options = self._table(operator.table, **fields)
            kind = getattr(_SCHEMA.BuiltinOptions, operator.table)
        return self._table(
            "Operator",
            OpcodeIndex=codes.index((operator.kind, operator.version)),
            Inputs=self._integers(operator.inputs),
            Outputs=self._integers(operator.outputs),
            BuiltinOptionsType=kind,
            BuiltinOptions=options,
        )
