"""What the importer of one ONNX node sees: operands, attributes, and ways to add to the IR graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, UINT8
from tinycompile.frontend.builder import GraphBuilder, results_of
from tinycompile.frontend.onnx_file import OnnxModel
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_rewrite import label_of
from tinycompile.frontend.onnx_schema import ML, defaults, plain
from tinycompile.frontend.onnx_shapes import contradiction, type_names_of
from tinycompile.frontend.onnx_values import (
    Arranged,
    Dequantized,
    Discrete,
    Known,
    Missing,
    Placed,
    Quantized,
    Real,
    Shape,
    Step,
    Value,
    identity,
    moves_nothing,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Op, Quantization, Signature, Source, TensorType
from tinycompile.ops.cast import Cast
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose

NHWC = (0, 2, 3, 1)


@dataclass
class State:
    """The import so far."""

    model: OnnxModel
    builder: GraphBuilder = field(default_factory=GraphBuilder)
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    places: dict[str, Placed] = field(default_factory=dict[str, Placed])
    """Where quantised ONNX tensors are in the IR."""
    producers: dict[str, Any] = field(default_factory=dict[str, Any])
    """The ONNX node of every value read so far."""
    floats: dict[str, Real] = field(default_factory=dict[str, Real])
    """Values that were needed as float tensors although they aren't."""
    transposed: dict[tuple[str, tuple[int, ...]], str] = field(default_factory=dict[tuple[str, tuple[int, ...]], str])
    """IR values whose axes were permuted: the readers of a tensor share its copy."""
    settled: dict[tuple[str, Step], tuple[str, Quantization]] = field(
        default_factory=dict[tuple[str, Step], tuple[str, Quantization]]
    )
    """IR values that hold a function of another one's elements exactly, and their quantisation."""
    originals: dict[str, str] = field(default_factory=dict[str, str])
    """The unsigned value that an IR value is, lowered to the signed type of its size."""
    count: int = 0
    begins: dict[tuple[str | int, ...], str] = field(default_factory=dict[tuple[str | int, ...], str])
    """Where pieces of tensors begin, by what that is computed from."""

    widened: dict[str, Real | Discrete] = field(default_factory=dict[str, "Real | Discrete"])
    """Values of types that are for storage only, as what is computed with."""

    islands: dict[str, str] = field(default_factory=dict[str, str])
    """Why a node is computed in float32, by its first result."""

    def label(self, node: Any) -> str:
        """What messages call a node."""
        return label_of(node, self._indices.get(node.output[0], -1))

    def contradiction(self, node: Any) -> str | None:
        """How a node's operands and attributes contradict each other, by onnx's inference; None where they don't."""
        operands = dict[str, Array | tuple[Shape, str]]()
        for name in filter(None, node.input):
            value = self.values[name]
            operands[name] = (
                value.array if isinstance(value, Known) else (value.shape, self.type_names.get(name, "float32"))
            )
        found = contradiction(node, operands, {o.domain: o.version for o in self.model.proto.opset_import})
        if found is None:
            return None
        shapes = " and ".join(str(list(v[0] if isinstance(v, tuple) else v.shape)) for v in operands.values())
        return f"with operands of the shapes {shapes} it makes no sense: {found}"

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {name: index for index, node in enumerate(self.model.nodes) for name in node.output}

    @cached_property
    def type_names(self) -> Mapping[str, str]:
        """Of the elements of the model's values, as far as they are known."""
        return type_names_of(self.model.proto.graph)

    def wanted(self, name: str) -> bool:
        """Whether a node reads this value, or it is an output."""
        return name in self._readers

    @cached_property
    def _readers(self) -> frozenset[str]:
        nodes = {name for node in self.model.nodes for name in node.input}
        return frozenset(nodes | {value.name for value in self.model.outputs})

    def computable(self, name: str) -> Value:
        """A value; floats of other types than float32 are converted to it, integers of less than 8 bits to 8."""
        value = self.values[name]
        if not isinstance(value, Discrete) or not (value.dtype.is_float or value.dtype.is_sub_byte):
            return value
        if name not in self.widened:
            dtype = FLOAT32 if value.dtype.is_float else INT8 if value.dtype.is_signed else UINT8
            at = replace(value.at, name=self.emit(Cast(dtype), [value.at.name], f"{name}_{dtype}", None))
            self.widened[name] = Real(at) if dtype == FLOAT32 else Discrete(at, dtype)
        return self.widened[name]

    def type_of(self, at: Placed) -> TensorType:
        return self.builder.types[at.name]

    def value(self, name: str, t: TensorType, constant: Array | None = None) -> str:
        """A new IR value; every computed one can be found again by its number."""
        source = None
        if constant is None:
            source, self.count = Source(self.count, name), self.count + 1
        return self.builder.value(name, t, source, constant)

    def constant_output(self, name: str, t: TensorType, constant: Array) -> str:
        """A constant that is compared like a computed value."""
        source, self.count = Source(self.count, name), self.count + 1
        return self.builder.value(f"{name}_constant", t, source, constant)

    def emit(self, op: Op, operands: Sequence[str], name: str, quant: Quantization | None) -> str:
        """Add a node; returns its result.

        Raises:
            Rejected: the operator's support rule refuses it.
        """
        (result,) = self.emit_several(op, operands, [name], [quant])
        return result

    def emit_several(
        self, op: Op, operands: Sequence[str], names: Sequence[str], quants: Sequence[Quantization | None]
    ) -> list[str]:
        """Add a node with several results; returns them. Names of those that nobody wants may be missing.

        Raises:
            Rejected: the operator's support rule refuses it.
        """
        types = tuple(self.builder.types[operand] for operand in operands)
        try:
            inferred = results_of(op, types)
        except ValueError as error:
            raise Rejected(str(error)) from error
        found = tuple(replace(each, quant=quant) for each, quant in zip(inferred, quants, strict=True))
        reason = op.unsupported(Signature(types, found))
        if reason is not None:
            raise Rejected(reason)
        wanted = [*names, *[f"{names[0]}_{i}" for i in range(len(names), len(found))]]
        results = [self.value(name, t) for name, t in zip(wanted, found, strict=True)]
        self.builder.node(names[0], op, operands, results)
        return results


class Scope:
    """One node of the model being imported.

    It notes which attributes and operands were read. `check_read` refuses a node of which something was neither read
    nor named in `ignore`, so that no importer forgets what changes the result.
    """

    def __init__(
        self, state: State, node: Any, as_floats: Callable[[str], Real | Known | Discrete] | None = None
    ) -> None:
        """`as_floats` makes float tensors of the operands, for operators that can't run in 8 bits."""
        onnx = onnx_module()
        self.state, self.node, self._as_floats = state, node, as_floats
        self._attributes: Mapping[str, Any] = {
            a.name: plain(onnx.helper.get_attribute_value(a)) for a in node.attribute
        }
        self._read = set[str | int]()
        self._results = set[int]()

    @property
    def kind(self) -> str:
        return str(self.node.op_type)

    @property
    def name(self) -> str:
        """Of the node's first result, which is what IR values and nodes are called."""
        return str(self.node.output[0])

    @property
    def in_float(self) -> bool:
        """Whether the node is read in float32."""
        return self._as_floats is not None

    @property
    def opset(self) -> int:
        return self.state.model.opset

    @property
    def version(self) -> int:
        """Of the operator's domain."""
        return self.state.model.ml_version if self.node.domain == ML else self.opset

    def attribute(self, name: str, default: Any) -> Any:
        self._read.add(name)
        value = self._attributes.get(name, default)
        return list(cast(list[Any], value)) if isinstance(value, list) else value

    def ignore(self, *read: str | int) -> None:
        """These attributes, and operands (by index), make no difference here, or are in what was inferred from them."""
        self._read.update(read)

    def evaluated(self) -> None:
        """Whoever computes the node reads all of it."""
        self.ignore(*self._attributes, *range(len(self.node.input)))

    def check_read(self, wanted: Callable[[str], bool]) -> None:
        """What was read and computed is all there is.

        Args:
            wanted: whether something reads a value.

        Raises:
            Rejected: names an attribute that nobody read although it isn't at its default, an operand, or a result.
        """
        known = defaults(self.kind, self.node.domain, self.version)
        for name, value in self._attributes.items():
            if known is not None and name not in known:
                raise Rejected(f"the attribute {name} is unknown")
            if name not in self._read and (known is None or value != known[name]):
                raise Rejected(f"the attribute {name} = {value!r} is not supported here")
        for operand in range(len(self.node.input)):
            if self.has(operand) and operand not in self._read:
                raise Rejected(f"operand {operand} ({self.node.input[operand]!r}) is not supported here")
        for output, name in enumerate(self.node.output):
            if name and output not in self._results and wanted(name):
                raise Rejected(f"result {output} ({name!r}) is not supported")

    def has(self, operand: int) -> bool:
        return operand < len(self.node.input) and self.node.input[operand] != ""

    def value(self, operand: int = 0) -> Value:
        if not self.has(operand):
            raise Rejected(f"operand {operand} is missing")
        self._read.add(operand)
        name = self.node.input[operand]
        return self.state.computable(name) if self._as_floats is None else self._as_floats(name)

    def stored(self, operand: int = 0) -> Value:
        """As `value`, of types that are for storage as well."""
        if not self.has(operand):
            raise Rejected(f"operand {operand} is missing")
        self._read.add(operand)
        return self.state.values[self.node.input[operand]]

    def operands(self) -> list[Value]:
        return [self.value(i) for i in range(len(self.node.input)) if self.has(i)]

    def constant(self, operand: int, what: str) -> Array:
        value = self.value(operand)
        if not isinstance(value, Known):
            raise Rejected(f"{what} is computed at run time, supported is a constant")
        return value.array

    def integers(self, operand: int, what: str) -> list[int]:
        return [int(v) for v in self.constant(operand, what).ravel()]

    def listed(self, name: str, operand: int, what: str) -> list[int] | None:
        """A list of integers that older opsets have as an attribute and newer ones as an operand; None if absent."""
        if self.has(operand):
            return self.integers(operand, what)
        found = self.attribute(name, None)
        return None if found is None else [int(v) for v in found]

    def shape(self, output: int = 0) -> Shape:
        """The static shape of a result."""
        shape = self.state.model.shapes.get(self.node.output[output])
        if shape is None:
            raise Rejected(
                self.state.contradiction(self.node) or "the shape of its result is dynamic, supported are static ones"
            )
        if 0 in shape:
            raise Rejected("its result is empty")
        return shape

    def set_empty(self, output: int) -> bool:
        """A result without elements is a constant; whether it is one."""
        name = self.node.output[output]
        shape = self.state.model.shapes.get(name, ())
        if 0 in shape:
            self.set(Known(np.zeros(shape, self.state.type_names.get(name, "float32"))), output)
        return 0 in shape

    def set(self, value: Value, output: int = 0) -> None:
        self._results.add(output)
        self.state.values[self.node.output[output]] = value
        if isinstance(value, Quantized):
            self.state.places[self.node.output[output]] = value.at

    # Moving data.

    def move(self, at: Placed, op: Op, shape: Shape, order: tuple[int, ...] | None = None) -> Placed:
        """The result of an operator that copies elements, with the quantisation of its operand."""
        result = self.state.emit(op, [at.name], f"{self.name}_{op.kind}", self.state.type_of(at).quant)
        return Placed(result, shape, identity(len(shape)) if order is None else order)

    def reshaped(self, at: Placed, physical: Shape, shape: Shape, order: tuple[int, ...]) -> Placed:
        """The same memory seen as another shape."""
        if self.state.type_of(at).shape == physical:
            return Placed(at.name, shape, order)
        return self.move(at, Reshape(physical), shape, order)

    def ordered(self, at: Placed, order: tuple[int, ...]) -> Placed:
        """The tensor with its axes in this order in memory."""
        at = self.unfolded(at)
        if at.order == order:
            return at
        physical = tuple(at.shape[axis] for axis in order)
        permutation = tuple(at.order.index(axis) for axis in order)
        if moves_nothing(at.physical_shape, permutation):
            return self.reshaped(at, physical, at.shape, order)
        key = at.name, permutation
        if key not in self.state.transposed:
            self.state.transposed[key] = self.move(at, Transpose(permutation), at.shape, order).name
        return Placed(self.state.transposed[key], at.shape, order)

    def unfolded(self, at: Placed) -> Placed:
        """A folded row brought into the order of its ONNX tensor."""
        if at.folded is None:
            return at
        shape, order = at.folded
        image = self.reshaped(at, tuple(shape[axis] for axis in order), shape, order)
        plain = self.ordered(image, identity(len(shape)))
        return self.reshaped(plain, at.shape, at.shape, identity(len(at.shape)))

    def plain(self, at: Placed) -> Placed:
        """The tensor as ONNX has it in memory."""
        return self.ordered(at, identity(len(at.shape)))

    def image(self, at: Placed) -> Placed:
        """A 4-D tensor as NHWC."""
        if len(at.shape) != 4:
            raise Rejected(f"its operand has {len(at.shape)} dimensions, supported are 4")
        return self.ordered(at, NHWC)

    def aligned(self, at: Placed, rank: int, order: tuple[int, ...]) -> Placed:
        """The tensor with `rank` axes, new ones of size 1 in front, in this order in memory."""
        if len(at.shape) < rank:
            plain, shape = self.plain(at), (*(1,) * (rank - len(at.shape)), *at.shape)
            at = self.reshaped(plain, shape, shape, identity(rank))
        return self.ordered(at, order)

    def side_by_side(self, places: Sequence[Placed], rank: int) -> tuple[list[str], tuple[int, ...]]:
        """The IR values of tensors with `rank` axes in the same order, and that order."""
        order = common_order(places, rank)
        return [self.aligned(at, rank, order).name for at in places], order

    def moved(self, how: Callable[[Placed], Placed], output: int = 0) -> None:
        """A result is operand 0 with its elements elsewhere."""
        value = self.value()
        if isinstance(value, Quantized):
            self.set(Quantized(how(value.at), value.dtype), output)
        elif isinstance(value, Real | Discrete) or (isinstance(value, Dequantized) and value.channel is None):
            self.set(replace(value, at=how(value.at)), output)
        elif isinstance(value, Known | Missing):
            raise Rejected("its operand is a constant of which not everything is known")
        else:
            self.set(Arranged((value,), lambda places, _: how(places[0]), self.shape(output)), output)


def common_order(places: Sequence[Placed], rank: int) -> tuple[int, ...]:
    """In which order to have tensors side by side: channels last if one of them has them there, else as the first."""
    orders = [at.order for at in places if len(at.shape) == rank and at.folded is None]
    return NHWC if NHWC in orders else next(iter(orders), identity(rank))


def arranged(array: Array, rank: int, order: tuple[int, ...]) -> Array:
    """A constant with `rank` axes, new ones of size 1 in front, in this order in memory."""
    wide = array.reshape((1,) * (rank - array.ndim) + array.shape)
    return np.asarray(wide.transpose(order), order="C")  # ascontiguousarray would give a scalar an axis


FLOAT_ARITHMETIC = "that would take float32 arithmetic"
NOT_ROUNDED = f"it stands between a float operator and QuantizeLinear: {FLOAT_ARITHMETIC}"


def scalar(array: Array) -> float | None:
    """The only element, if there is only one."""
    return float(array.reshape(-1)[0]) if array.size == 1 else None


def per_tensor_quantization(scale: Array, zero_point: Array, shift: int) -> Quantization:
    """Of activations, as int8. Raises Rejected."""
    if scale.size != 1:
        raise Rejected("an activation is quantised per channel, supported is one scale for the whole tensor")
    value = np.float32(scale.reshape(-1)[0])
    if not np.isfinite(value) or value < np.finfo(np.float32).tiny:
        raise Rejected(f"the scale is {value}")
    return Quantization(np.array([value], np.float32), np.array([int(zero_point.reshape(-1)[0]) - shift], np.int64))


def with_quantization(scope: Scope, at: Placed, quant: Quantization) -> Placed:
    """The same integers with the scale and zero point that a DequantizeLinear gives them."""
    t = scope.state.type_of(at)
    if quant.same_as(t.quant):
        return at
    result = scope.state.emit(Reshape(t.shape), [at.name], f"{scope.name}_quantized", quant)
    return replace(at, name=result)
