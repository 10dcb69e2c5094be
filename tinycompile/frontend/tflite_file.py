"""A .tflite file as plain data: everything is read out of the flatbuffer once, with bounds, and checked.

Nothing after this module touches the flatbuffer, so a corrupt file can do no harm beyond a `ModelFileError`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import tflite
from flatbuffers.table import Table

from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.ir import Array, Quantization, TensorType

MAX_RANK = 8
MAX_TENSOR_BYTES = 2**28
"""No microcontroller has more memory."""

MAX_ENTRIES = 1 << 16
"""Most tensors, operators and operator codes of a model that is not a joke."""

DTYPES = {
    tflite.TensorType.FLOAT32: "float32",
    tflite.TensorType.INT8: "int8",
    tflite.TensorType.UINT8: "uint8",
    tflite.TensorType.INT16: "int16",
    tflite.TensorType.INT32: "int32",
    tflite.TensorType.INT64: "int64",
    tflite.TensorType.BOOL: "bool",
}
TYPE_NAMES = {code: name for name, code in vars(tflite.TensorType).items() if isinstance(code, int)}
OPERATOR_NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
ZERO_POINTS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (0, 0)}

_CORRUPT = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError, MemoryError)
"""What flatbuffers and NumPy raise on offsets and lengths that lead nowhere."""

_EMPTY_TABLE = b"\x04\x00\x04\x00\x04\x00\x00\x00"
"""A flatbuffer table without fields: a vtable of 4 bytes, then the table at position 4."""


@dataclass(frozen=True, eq=False)
class SourceTensor:
    """A tensor of the file.

    Attributes:
        type: None where the tensor can't be represented; `reason` says why.
        data: the constant's value, shaped; None for a tensor that is computed or given at run time.
    """

    index: int
    name: str
    type: TensorType | None
    reason: str
    data: Array | None


@dataclass(frozen=True, eq=False)
class SourceOperator:
    """An operator of the file; `inputs` may hold -1 for an operand left out."""

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None


@dataclass(frozen=True, eq=False)
class SourceModel:
    """The only subgraph of a file."""

    tensors: tuple[SourceTensor, ...]
    operators: tuple[SourceOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_model(content: bytes, where: str) -> SourceModel:
    """Read and check a file; `where` names it in messages.

    Raises:
        ModelFileError: the file is truncated, corrupt or contradicts itself.
        UnsupportedError: a feature of the format that has no meaning on a microcontroller.
    """
    if content[4:8] != b"TFL3":
        raise ModelFileError("this is not a TFLite model", where=where, why="it lacks the identifier 'TFL3'")
    with readable(where):
        return _Reader(content, where).model()


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Whatever flatbuffers stumbles over inside is the file's fault."""
    try:
        yield
    except _CORRUPT as error:
        raise ModelFileError("the file is truncated or corrupt", where=where, why=str(error)) from error


def option_reader(operator: SourceOperator, options: type[Any], where: str) -> Callable[[str], int | float]:
    """Reads scalar fields of an operator's options; the schema's defaults hold where the file has none."""
    table = options()
    with readable(where):
        if operator.options is None:
            table.Init(_EMPTY_TABLE, 4)
        else:
            table.Init(operator.options.Bytes, operator.options.Pos)

    def read(field: str) -> int | float:
        with readable(where):
            return getattr(table, field)()

    return read


class _Reader:
    """Walks the flatbuffer. `spend` bounds the work that overlapping or repeated parts of a hostile file can cause."""

    def __init__(self, content: bytes, where: str) -> None:
        self.where = where
        self.budget = 4 * len(content) + 4096
        # The generated accessors are typed as if every table could be missing; `readable` sees to those that are.
        self.file: Any = tflite.Model.GetRootAsModel(content, 0)

    def fail(self, what: str, why: str = "") -> ModelFileError:
        return ModelFileError(what, where=self.where, why=why)

    def spend(self, amount: int) -> None:
        self.budget -= amount
        if self.budget < 0:
            raise self.fail("the file is corrupt", "its parts overlap")

    def count(self, number: int, what: str) -> range:
        if number > MAX_ENTRIES:
            raise self.fail(f"the file claims {number} {what}", f"at most {MAX_ENTRIES} are read")
        return range(number)

    def model(self) -> SourceModel:
        if self.file.Version() != 3:
            raise self.fail(f"schema version {self.file.Version()}", "version 3 is the one in use")
        if self.file.SubgraphsLength() != 1:
            reason = f"the file has {self.file.SubgraphsLength()} subgraphs, supported is 1"
            raise UnsupportedError([("control flow", reason)], where=self.where)
        graph = self.file.Subgraphs(0)
        codes = [self.operator_name(i) for i in self.count(self.file.OperatorCodesLength(), "operator codes")]
        operators = tuple(
            self.operator(graph.Operators(i), i, codes) for i in self.count(graph.OperatorsLength(), "operators")
        )
        inputs, outputs = self.ints(graph.InputsAsNumpy()), self.ints(graph.OutputsAsNumpy())
        written = {*inputs, *(index for operator in operators for index in operator.outputs)}
        tensors = tuple(
            self.tensor(graph.Tensors(i), i, i in written) for i in self.count(graph.TensorsLength(), "tensors")
        )
        return SourceModel(tensors, operators, inputs, outputs)

    def operator_name(self, index: int) -> str:
        """Files older than the 128th operator carry the code in the deprecated byte only."""
        code = self.file.OperatorCodes(index)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if builtin == tflite.BuiltinOperator.CUSTOM:
            return f"CUSTOM {self.text(code.CustomCode())}".rstrip()
        return OPERATOR_NAMES.get(builtin, f"operator code {builtin}")

    def operator(self, operator: Any, index: int, codes: list[str]) -> SourceOperator:
        if not 0 <= operator.OpcodeIndex() < len(codes):
            raise self.fail(f"operator {index} has the operator code index {operator.OpcodeIndex()} of {len(codes)}")
        return SourceOperator(
            index,
            codes[operator.OpcodeIndex()],
            self.ints(operator.InputsAsNumpy()),
            self.ints(operator.OutputsAsNumpy()),
            operator.BuiltinOptions(),
        )

    def tensor(self, tensor: Any, index: int, written: bool) -> SourceTensor:
        """`written`: by the caller or an operator; a tensor without elements that isn't is an empty constant."""
        name = self.text(tensor.Name()) or f"tensor_{index}"
        here = f"tensor {index} {name!r}"
        shape = self.ints(tensor.ShapeAsNumpy())
        data = self.buffer(tensor, here)
        if data is None and 0 in shape and not written:
            data = b""
        reason = _strange(tensor, shape, data is not None)
        if reason:
            return SourceTensor(index, name, None, reason, None)
        dtype = DTYPES[tensor.Type()]
        size = prod(shape) * np.dtype(dtype).itemsize
        if size > MAX_TENSOR_BYTES:
            raise self.fail(f"{here} claims the shape {shape}", "which has more than 256 MiB")
        if data is not None and len(data) != size:
            raise self.fail(f"{here} has {len(data)} bytes of data", f"{dtype}{list(shape)} needs {size}")
        value = None if data is None else np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape)
        quant = self.quantization(tensor, shape, dtype, value is not None, here)
        return SourceTensor(index, name, TensorType(shape, dtype, quant), "", value)

    def buffer(self, tensor: Any, here: str) -> bytes | None:
        """The tensor's constant data; buffer 0 and empty buffers mean none."""
        index = tensor.Buffer()
        if not 0 <= index < max(self.file.BuffersLength(), 1):
            raise self.fail(f"{here} has the buffer index {index} of {self.file.BuffersLength()}")
        if index == 0:
            return None
        buffer = self.file.Buffers(index)
        if buffer.Offset() > 1 or buffer.Size() > 1:
            raise self.fail(f"{here} keeps its data outside the flatbuffer", "files above 2 GiB are not read")
        if buffer.DataLength() == 0:
            return None
        data = buffer.DataAsNumpy().tobytes()
        self.spend(len(data))
        return data

    def quantization(
        self, tensor: Any, shape: tuple[int, ...], dtype: str, constant: bool, here: str
    ) -> Quantization | None:
        """A scale of 0 is accepted in constants: old converters write it for a channel of zeros."""
        q = tensor.Quantization()
        if q is None or q.ScaleLength() == 0 or dtype not in (*ZERO_POINTS, "int32"):
            return None
        self.spend(4 * q.ScaleLength() + 8 * q.ZeroPointLength())
        scale = q.ScaleAsNumpy().astype(np.float32)
        zero_point = q.ZeroPointAsNumpy().astype(np.int64) if q.ZeroPointLength() else np.zeros(scale.size, np.int64)
        if scale.size != zero_point.size:
            raise self.fail(f"{here} has {scale.size} scales and {zero_point.size} zero points")
        axis = q.QuantizedDimension() if scale.size > 1 else None
        if axis is not None and not (0 <= axis < len(shape) and shape[axis] == scale.size):
            raise self.fail(f"{here} has {scale.size} scales for axis {axis} of the shape {shape}")
        if not np.all(np.isfinite(scale)) or np.any(scale < 0) or (not constant and np.any(scale == 0)):
            raise self.fail(f"{here} has the scale {_odd(scale)}", "a scale must be finite and greater than 0")
        low, high = ZERO_POINTS.get(dtype, (0, 0))
        if np.any(zero_point < low) or np.any(zero_point > high):
            raise self.fail(f"{here} has the zero point {zero_point.tolist()[:4]}", f"{dtype} allows {low} to {high}")
        return Quantization(scale, zero_point, axis)

    def ints(self, vector: Any) -> tuple[int, ...]:
        """A vector of int32; flatbuffers yields 0 for one that is missing."""
        if isinstance(vector, int):
            return ()
        self.spend(4 * len(vector))
        return tuple(vector.tolist())

    def text(self, raw: bytes | None) -> str:
        self.spend(len(raw or b""))
        return (raw or b"").decode("utf-8", "replace")


def _strange(tensor: Any, shape: tuple[int, ...], constant: bool) -> str:
    """Why a tensor can't be represented; an operator that reads or writes it isn't supported."""
    if tensor.Type() not in DTYPES:
        return f"has the type {TYPE_NAMES.get(tensor.Type(), tensor.Type())}"
    if tensor.IsVariable():
        return "is a variable (state that survives an inference)"
    if tensor.Sparsity() is not None:
        return "is stored in sparse form"
    if len(shape) > MAX_RANK:
        return f"has {len(shape)} dimensions, supported are {MAX_RANK}"
    if any(n < 0 for n in shape):
        return f"has the dynamic shape {list(shape)}"
    if not constant and 0 in shape:
        return f"is empty: its shape is {list(shape)}"
    quantization = tensor.Quantization()
    if quantization is not None and quantization.DetailsType() != tflite.QuantizationDetails.NONE:
        return "has a custom quantisation"
    return ""


def _odd(scale: Array) -> float:
    """The first scale that isn't right."""
    return float(scale[~(np.isfinite(scale) & (scale > 0))][0])
