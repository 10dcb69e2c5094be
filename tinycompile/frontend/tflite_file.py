"""A .tflite file as plain data: everything is read out of the flatbuffer once, with bounds, and checked.

Nothing after this module touches the flatbuffer, so a corrupt file can do no harm beyond a `ModelFileError`.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tinycompile.dtypes import (
    BOOL,
    FLOAT16,
    FLOAT32,
    INT2,
    INT4,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT32,
    UINT64,
    DType,
)
from tinycompile.errors import ModelFileError, UsageError
from tinycompile.frontend.tflite_blocks import Blocks, blocks_of, dequantized_blocks
from tinycompile.frontend.tflite_bodies import FIELDS, bodies_of
from tinycompile.frontend.tflite_decode import DECODE, decoded
from tinycompile.frontend.tflite_quantization import ZERO_POINTS, ContradictionError, Parameters, understood
from tinycompile.frontend.tflite_resources import (
    INITIALISE,
    Operation,
    Resources,
    handles_of,
    initial_values,
    initialiser_of,
)
from tinycompile.frontend.tflite_schema import SIGNED_8, SIGNED_32, FlatTable, root, tflite
from tinycompile.ir import MAX_RAM_BYTES, MAX_TENSOR_BYTES, Array, Quantization, TensorType

MAX_RANK = 8
MAX_NAMES = 10
"""That are listed in a message."""

MAX_NOTES = 50

MAX_ENTRIES = 1 << 16
"""Most tensors, operators and operator codes of a model that is not a joke."""

_LATER_TYPES = {19: "INT2", 20: "UINT4"}
"""Of `TensorType` in LiteRT's schema; the `tflite` package ends before them."""

TYPE_NAMES = _LATER_TYPES | {code: name for name, code in vars(tflite.TensorType).items() if isinstance(code, int)}
DTYPES = {code: dtype for code, name in TYPE_NAMES.items() if (dtype := DType.find(name.lower())) is not None}
COMPILED = (FLOAT32, INT8, UINT8, INT16, INT32, INT64, BOOL)
"""Element types that operators can have; tensors of the others are read, and whatever touches them is refused."""
UNSIGNED = (UINT32, UINT64)
"""The same for signal operators, and the few others that LiteRT has for them."""
STORED = (FLOAT16, INT4, INT2)
"""The same for constants, which importers make others of."""

OPERATOR_NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}

_CORRUPT = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError, MemoryError)
"""What flatbuffers and NumPy raise on offsets and lengths that lead nowhere."""

_DEPRECATED_CODE, _CODE = 4, 10
"""Where a vtable has the two fields of an operator's number."""

_EXTERNAL_BUFFER = 24
"""Where a vtable has `Tensor.external_buffer`, which the `tflite` package doesn't know."""


@dataclass(frozen=True, eq=False)
class SourceTensor:
    """A tensor of the file.

    Attributes:
        type: None where the tensor can't be represented.
        reason: why no operator may read or write it; empty if any may.
        data: the constant's value, shaped; None for a tensor that is computed or given at run time.
        signature: the shape with -1 where it is dynamic; empty where nothing is.
        is_variable: whether it is a state, which survives an inference.
    """

    index: int
    name: str
    type: TensorType | None
    reason: str
    data: Array | None
    signature: tuple[int, ...] = ()
    is_variable: bool = False


CUSTOM = "CUSTOM "
"""In front of the name of an operator that the schema doesn't have."""


@dataclass(frozen=True, eq=False)
class SourceOperator:
    """An operator of the file; `inputs` may hold -1 for an operand left out.

    Attributes:
        options: its table, of the type that `options_type` says.
        intermediates: tensors without elements that say how its inner values are quantised.
    """

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: FlatTable | None
    options_type: int = 0
    version: int = 1
    custom_options: bytes = b""
    intermediates: tuple[int, ...] = ()

    @property
    def importer(self) -> str:
        """Under which name it is read: a custom operator under that of its code."""
        return self.name.removeprefix(CUSTOM)


KEPT_FILES = 2
"""A build asks for a file twice: for the graph, and for what a caller is told of it."""


@dataclass(frozen=True, eq=False)
class SourceModel:
    """The main subgraph of a file, or the one of a signature.

    Attributes:
        signatures: the names of those that the file has.
        notes: what a user might want to know of the file.
        resources: variables that operators name.
        bodies: the subgraphs of IF and WHILE operators, by their number, and of those inside of these.
    """

    tensors: tuple[SourceTensor, ...]
    operators: tuple[SourceOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    signatures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    resources: Resources = field(default_factory=lambda: Resources({}, {}))
    bodies: Mapping[int, SourceModel] = field(default_factory=lambda: dict[int, SourceModel]())


@lru_cache(KEPT_FILES)
def read_model(content: bytes, where: str, signature: str | None = None) -> SourceModel:
    """Read and check a file; the same one again is the same model.

    Args:
        where: names it in messages.
        signature: whose subgraph is wanted; None for the main one, which is the first.

    Raises:
        ModelFileError: the file is truncated, corrupt or contradicts itself.
        UsageError: it has no such signature.
    """
    if content[4:8] != b"TFL3":
        raise ModelFileError("this is not a TFLite model", where=where, why="it lacks the identifier 'TFL3'")
    with readable(where):
        return _Reader(content, where).model(signature)


@contextmanager
def readable(where: str) -> Generator[None]:
    """Whatever flatbuffers stumbles over inside is the file's fault."""
    try:
        yield
    except _CORRUPT as error:
        raise ModelFileError("the file is truncated or corrupt", where=where, why=str(error)) from error


class _Reader:
    """Walks the flatbuffer. `spend` bounds the work that overlapping or repeated parts of a hostile file can cause."""

    def __init__(self, content: bytes, where: str) -> None:
        self.content, self.where = content, where
        self.notes: list[str] = []
        self.blocks: dict[int, Blocks] = {}
        self.budget = 4 * len(content) + 4096
        self.file = root(content)

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

    def model(self, signature: str | None) -> SourceModel:
        if self.file.Version() != 3:
            raise self.fail(f"schema version {self.file.Version()}", "version 3 is the one in use")
        signatures = self.signatures()
        graph = self.subgraph(signatures, signature)
        codes = [self.operator_code(i) for i in self.count(self.file.OperatorCodesLength(), "operator codes")]
        main, bodies = self.part(graph, codes), dict[int, SourceModel]()
        self.read_bodies(main, codes, bodies)
        resources = self.resources(main.operators, codes)
        return replace(main, signatures=tuple(signatures), notes=tuple(self.notes), resources=resources, bodies=bodies)

    def part(self, graph: Any, codes: list[tuple[str, int]]) -> SourceModel:
        """A subgraph by itself."""
        operators = tuple(
            self.operator(graph.Operators(i), i, codes) for i in self.count(graph.OperatorsLength(), "operators")
        )
        inputs, outputs = self.ints(graph.InputsAsNumpy()), self.ints(graph.OutputsAsNumpy())
        count = self.count(graph.TensorsLength(), "tensors")
        constants = self.decoded(graph, operators)
        operators = tuple(operator for operator in operators if operator.name != DECODE)
        written = {*inputs, *(index for operator in operators for index in operator.outputs)}
        self.blocks = {}
        tensors = [self.tensor(graph.Tensors(i), i, i in written, constants.get(i)) for i in count]
        for index, blocks in self.blocks.items():
            tensors[index] = self.in_blocks(tensors[index], tensors, blocks)
        return SourceModel(tuple(tensors), operators, inputs, outputs)

    def read_bodies(self, model: SourceModel, codes: list[tuple[str, int]], found: dict[int, SourceModel]) -> None:
        """Those of its operators, and of theirs."""
        for operator in model.operators:
            for index in bodies_of(operator.name, operator.options):
                count = self.file.SubgraphsLength()
                if not 0 <= index < count:
                    fields = " or ".join(FIELDS[operator.name])
                    raise self.fail(f"operator {operator.index} ({operator.name}) has {fields} {index} of {count}")
                if index not in found:
                    found[index] = self.part(self.file.Subgraphs(index), codes)
                    self.read_bodies(found[index], codes, found)

    def resources(self, operators: Sequence[SourceOperator], codes: list[tuple[str, int]]) -> Resources:
        """Variables that have handles, with what CALL_ONCE makes them begin with."""
        initial, problem = dict[str, Array](), ""
        for operator in operators:
            if operator.name != INITIALISE:
                continue
            index = initialiser_of(operator.options)
            if not 0 <= index < self.file.SubgraphsLength():
                count = self.file.SubgraphsLength()
                raise self.fail(f"operator {operator.index} has the init_subgraph_index {index} of {count} subgraphs")
            graph = self.file.Subgraphs(index)
            own = [
                self.operator(graph.Operators(i), i, codes) for i in self.count(graph.OperatorsLength(), "operators")
            ]
            values, reason = initial_values(_operations(own), lambda i, graph=graph: self.constant(graph, i))
            initial, problem = {**initial, **values}, problem or reason
        return Resources(handles_of(_operations(operators)), initial, problem)

    def constant(self, graph: Any, index: int) -> Array | None:
        """The value of a subgraph's tensor, if it has one."""
        if not 0 <= index < graph.TensorsLength():
            raise self.fail(f"an initialising subgraph refers to tensor {index} of {graph.TensorsLength()}")
        return self.tensor(graph.Tensors(index), index, written=False).data

    def signatures(self) -> dict[str, int]:
        """The subgraph of each."""
        found = dict[str, int]()
        for i in self.count(self.file.SignatureDefsLength(), "signatures"):
            definition = self.file.SignatureDefs(i)
            found[self.text(definition.SignatureKey())] = definition.SubgraphIndex()
        return found

    def subgraph(self, signatures: dict[str, int], wanted: str | None) -> Any:
        count = self.file.SubgraphsLength()
        if count == 0:
            raise self.fail("the file has no subgraph")
        if wanted is not None and wanted not in signatures:
            raise UsageError(
                f"there is no signature {wanted!r}",
                where=self.where,
                hint=f"one of: {', '.join(signatures)}" if signatures else "leave out --signature: the file has none",
            )
        index = 0 if wanted is None else signatures[wanted]
        if not 0 <= index < count:
            raise self.fail(f"signature {wanted!r} is of subgraph {index} of {count}")
        others = [name for name, place in signatures.items() if place != index]
        if others:
            names = ", ".join(others[:MAX_NAMES])
            self.notes.append(f"this is subgraph {index} of {count}; --signature chooses another one: {names}")
        return self.file.Subgraphs(index)

    def operator_code(self, index: int) -> tuple[str, int]:
        """(name, version). The number is the larger of two fields: files older than the 128th operator have only the
        deprecated one, some newer tools write only the newer one. `BuiltinCode()` of the `tflite` package returns the
        deprecated one where both differ.
        """
        code = self.file.OperatorCodes(index)
        table: FlatTable = code._tab  # the accessors aren't of use here
        deprecated, newer = table.Offset(_DEPRECATED_CODE), table.Offset(_CODE)
        builtin = max(
            table.Get(SIGNED_8, table.Pos + deprecated) if deprecated else 0,
            table.Get(SIGNED_32, table.Pos + newer) if newer else 0,
        )
        if builtin == tflite.BuiltinOperator.CUSTOM:
            return f"{CUSTOM}{self.text(code.CustomCode())}".rstrip(), code.Version()
        return OPERATOR_NAMES.get(builtin, f"operator code {builtin}"), code.Version()

    def operator(self, operator: Any, index: int, codes: list[tuple[str, int]]) -> SourceOperator:
        code: int = operator.OpcodeIndex()
        if not 0 <= code < len(codes):
            raise self.fail(f"operator {index} has the operator code index {code} of {len(codes)}")
        name, version = codes[code]
        return SourceOperator(
            index,
            name,
            self.ints(operator.InputsAsNumpy()),
            self.ints(operator.OutputsAsNumpy()),
            operator.BuiltinOptions(),
            operator.BuiltinOptionsType(),
            version,
            self.bytes_of(operator.CustomOptionsAsNumpy()),
            self.ints(operator.IntermediatesAsNumpy()),
        )

    def decoded(self, graph: Any, operators: Sequence[SourceOperator]) -> dict[int, bytes | str]:
        """The bytes of constants that DECODE operators compute, by tensor; in words which can't be read, as their
        operands can't: these have the quantisation of what they stand for.
        """
        found = dict[int, bytes | str]()
        for operator in operators:
            if operator.name != DECODE:
                continue
            here = f"operator {operator.index} (TFLM_DECODE)"
            if len(operator.inputs) != 2 * len(operator.outputs):
                raise self.fail(f"{here} has {len(operator.inputs)} operands for {len(operator.outputs)} results")
            for index in (*operator.inputs, *operator.outputs):
                if not 0 <= index < graph.TensorsLength():
                    raise self.fail(f"{here} refers to tensor {index} of {graph.TensorsLength()}")
            for number, index in enumerate(operator.outputs):
                parts = [graph.Tensors(i) for i in operator.inputs[2 * number : 2 * number + 2]]
                encoded, ancillary = (self.buffer(part, here) for part in parts)
                found[index] = self.decoded_tensor(graph.Tensors(index), encoded, ancillary)
            found.update(dict.fromkeys(operator.inputs, "is a compressed constant"))
        count = sum(isinstance(value, bytes) for value in found.values())
        if count:
            self.notes.append(f"{count} constants of the file are compressed; --compress-weights compresses what fits")
        return found

    def decoded_tensor(self, tensor: Any, encoded: bytes | None, ancillary: bytes | None) -> bytes | str:
        shape = self.ints(tensor.ShapeAsNumpy())
        if _strange(tensor, shape, constant=True):
            return ""  # `tensor` says why
        size = prod(shape)
        if size > 8 * len(encoded or b""):  # an index has a bit at least
            return "has fewer indices than elements"
        self.spend(size // 8)
        return decoded(encoded, ancillary, shape, DTYPES[tensor.Type()])

    def tensor(self, tensor: Any, index: int, written: bool, given: bytes | str | None = None) -> SourceTensor:
        """`written`: by the caller or an operator; a tensor without elements that isn't is an empty constant.
        `given`: what it decodes to, or why that can't be read.
        """
        name = self.text(tensor.Name()) or f"tensor_{index}"
        here = f"tensor {index} {name!r}"
        shape, signature = self.ints(tensor.ShapeAsNumpy()), self.ints(tensor.ShapeSignatureAsNumpy())
        data = given if isinstance(given, bytes) else self.buffer(tensor, here)
        if data is None and 0 in shape and not written:
            data = b""
        variable = bool(tensor.IsVariable())
        reason = (given if isinstance(given, str) else "") or _strange(tensor, shape, data is not None)
        if reason:
            return SourceTensor(index, name, None, reason, None)
        blocks = blocks_of(tensor)
        if isinstance(blocks, Blocks):
            self.blocks[index] = blocks
        dtype = DTYPES[tensor.Type()]
        size = dtype.bytes_for(prod(shape))
        if size > MAX_TENSOR_BYTES:
            raise self.fail(f"{here} claims the shape {shape}", f"which has more than {MAX_TENSOR_BYTES:,} bytes")
        if data is not None and len(data) != size:
            raise self.fail(f"{here} has {len(data)} bytes of data", f"{dtype}{list(shape)} needs {size}")
        value = None if data is None else dtype.unpack(data, prod(shape)).reshape(shape)
        quant = self.quantization(tensor, shape, dtype, value is not None, here)
        known = dtype in (*COMPILED, *UNSIGNED) or (dtype in STORED and value is not None)
        reason = "" if known else f"has the type {TYPE_NAMES[tensor.Type()]}"
        if value is None and size > MAX_RAM_BYTES:
            reason = f"has {size:,} bytes, supported are {MAX_RAM_BYTES:,}"
        return SourceTensor(index, name, TensorType(shape, dtype, quant), reason, value, signature, variable)

    def in_blocks(self, tensor: SourceTensor, tensors: Sequence[SourceTensor], blocks: Blocks) -> SourceTensor:
        """The tensor with the floats that its integers stand for."""
        if tensor.data is None or tensor.type is None:
            reason = "has a scale for every block, and isn't constant"
            return SourceTensor(tensor.index, tensor.name, None, reason, None)
        self.spend(tensor.data.size)
        scales = tensors[blocks.scales].data if 0 <= blocks.scales < len(tensors) else None
        values = dequantized_blocks(tensor.data, scales, blocks)
        if isinstance(values, str):
            return SourceTensor(tensor.index, tensor.name, None, values, None)
        if len(self.notes) < MAX_NOTES:
            where = f"tensor {tensor.index} {tensor.name!r}"
            self.notes.append(f"{where} has a scale for every {blocks.size} elements; layers compute with its floats")
        floats, quant = values
        return SourceTensor(tensor.index, tensor.name, TensorType(floats.shape, FLOAT32, quant), "", floats)

    def buffer(self, tensor: Any, here: str) -> bytes | None:
        """The tensor's constant data; buffer 0 and empty buffers mean none."""
        index = tensor.Buffer()
        if not 0 <= index < max(self.file.BuffersLength(), 1):
            raise self.fail(f"{here} has the buffer index {index} of {self.file.BuffersLength()}")
        if index == 0:
            return None
        buffer = self.file.Buffers(index)
        if buffer.DataLength():
            self.spend(buffer.DataLength())
            return buffer.DataAsNumpy().tobytes()
        offset, size = buffer.Offset(), buffer.Size()
        if offset <= 1:  # 1 stands for a place that wasn't known when the table was written
            return None
        if offset + size > len(self.content):
            raise self.fail(
                f"{here} has its data at the bytes {offset} to {offset + size}",
                f"the file has {len(self.content)}; was it cut off?",
            )
        self.spend(size)
        return self.content[offset : offset + size]

    def quantization(
        self, tensor: Any, shape: tuple[int, ...], dtype: DType, constant: bool, here: str
    ) -> Quantization | None:
        q = tensor.Quantization()
        if q is None or q.ScaleLength() == 0 or dtype not in ZERO_POINTS:
            return None
        self.spend(4 * q.ScaleLength() + 8 * q.ZeroPointLength())
        zero_point = q.ZeroPointAsNumpy().astype(np.int64) if q.ZeroPointLength() else np.zeros(0, np.int64)
        given = Parameters(q.ScaleAsNumpy().astype(np.float32), zero_point, q.QuantizedDimension())
        try:
            meaning, note = understood(given, shape, dtype, constant)
        except ContradictionError as error:
            raise self.fail(f"{here} {error.what}", error.why) from error
        if note and len(self.notes) < MAX_NOTES:
            self.notes.append(f"{here} {note}")
        return meaning

    def ints(self, vector: Any) -> tuple[int, ...]:
        """A vector of int32; flatbuffers yields 0 for one that is missing."""
        if isinstance(vector, int):
            return ()
        self.spend(4 * len(vector))
        return tuple(vector.tolist())

    def bytes_of(self, vector: Any) -> bytes:
        """A vector of bytes; empty for one that is missing."""
        if isinstance(vector, int):
            return b""
        self.spend(len(vector))
        return bytes(vector.tobytes())

    def text(self, raw: bytes | None) -> str:
        self.spend(len(raw or b""))
        return (raw or b"").decode("utf-8", "replace")


def _operations(operators: Sequence[SourceOperator]) -> list[Operation]:
    return [Operation(each.name, each.inputs, each.outputs, each.options) for each in operators]


def _strange(tensor: Any, shape: tuple[int, ...], constant: bool) -> str:
    """Why a tensor can't be represented; an operator that reads or writes it isn't supported."""
    if tensor._tab.Offset(_EXTERNAL_BUFFER):
        return "has its value in another file (external_buffer)"
    if tensor.Type() not in DTYPES:
        return f"has the type {TYPE_NAMES.get(tensor.Type(), tensor.Type())}"
    if tensor.IsVariable() and constant:
        return "is a variable (state that survives an inference), and has a value in the file"
    if tensor.Sparsity() is not None:
        return "is stored in sparse form"
    if len(shape) > MAX_RANK:
        return f"has {len(shape)} dimensions, supported are {MAX_RANK}"
    if any(n < 0 for n in shape):
        return f"has the dynamic shape {list(shape)}"
    if not constant and 0 in shape:
        return f"is empty: its shape is {list(shape)}"
    blocks = blocks_of(tensor)
    return blocks if isinstance(blocks, str) else ""
