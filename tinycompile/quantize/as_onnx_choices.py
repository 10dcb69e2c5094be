"""How operators of integers and truth values are written (`as_onnx_writer.py`): indices, comparisons, choices."""

from __future__ import annotations

from collections.abc import Mapping

from tinycompile.dtypes import INT64, DType
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Node, Op, Signature
from tinycompile.ops._arg_extreme import ArgExtreme
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.arg_min import ArgMin
from tinycompile.ops.cast import Cast
from tinycompile.ops.cumulative_sum import CumulativeSum
from tinycompile.ops.equal import Equal
from tinycompile.ops.gather import Gather
from tinycompile.ops.gather_nd import GatherND
from tinycompile.ops.greater import Greater
from tinycompile.ops.greater_equal import GreaterEqual
from tinycompile.ops.less import Less
from tinycompile.ops.less_equal import LessEqual
from tinycompile.ops.logical_and import LogicalAnd
from tinycompile.ops.logical_not import LogicalNot
from tinycompile.ops.logical_or import LogicalOr
from tinycompile.ops.not_equal import NotEqual
from tinycompile.ops.select import Select
from tinycompile.quantize.as_onnx_writer import Writer, exports

_DIRECT: Mapping[type[Op], str] = {
    Equal: "Equal",
    Greater: "Greater",
    GreaterEqual: "GreaterOrEqual",
    Less: "Less",
    LessEqual: "LessOrEqual",
    LogicalAnd: "And",
    LogicalNot: "Not",
    LogicalOr: "Or",
    Select: "Where",
}


@exports(*_DIRECT)
def direct(writer: Writer, node: Node, sig: Signature) -> None:
    writer.node(_DIRECT[type(node.op)], [writer.read(name) for name in node.inputs], [writer.result(node)])


@exports(NotEqual)
def not_equal(writer: Writer, node: Node, sig: Signature) -> None:
    a, b = (writer.read(name) for name in node.inputs)
    writer.chain(a, writer.result(node), [("Equal", [b], {}), ("Not", [], {})])


def type_number(dtype: DType) -> int:
    """What ONNX calls an element type."""
    return int(onnx_module().helper.np_dtype_to_tensor_dtype(dtype.carrier))


@exports(Cast)
def cast(writer: Writer, node: Node, sig: Signature) -> None:
    writer.node("Cast", [writer.read(node.inputs[0])], [writer.result(node)], to=type_number(sig.output.dtype))


@exports(ArgMax, ArgMin)
def arg_extreme(writer: Writer, node: Node, sig: Signature) -> None:
    """ONNX's positions are int64."""
    op = node.op
    if not isinstance(op, ArgExtreme):
        raise TypeError(f"{op.kind} finds no extreme")
    kind = "ArgMax" if isinstance(op, ArgMax) else "ArgMin"
    steps = [(kind, list[str](), {"axis": op.axis, "keepdims": 0})]
    steps += [] if op.index == INT64 else [("Cast", list[str](), {"to": type_number(op.index)})]
    writer.chain(writer.read(node.inputs[0]), writer.result(node), steps)


@exports(CumulativeSum)
def cumulative_sum(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, CumulativeSum):
        raise TypeError(f"{op.kind} is no sum")
    axis = writer.constant(f"{node.outputs[0]}_axis", INT64.carrier.type(op.axis))
    flags = {"exclusive": int(op.exclusive), "reverse": int(op.reverse)}
    writer.node("CumSum", [writer.read(node.inputs[0]), axis], [writer.result(node)], **flags)


@exports(Gather)
def gather(writer: Writer, node: Node, sig: Signature) -> None:
    op = node.op
    if not isinstance(op, Gather) or op.batch_dims:
        raise Rejected("its operands have axes in common, for which ONNX has no operator")
    writer.node("Gather", [writer.read(name) for name in node.inputs], [writer.result(node)], axis=op.axis)


@exports(GatherND)
def gather_nd(writer: Writer, node: Node, sig: Signature) -> None:
    """ONNX's coordinates are int64."""
    x, indices = (writer.read(name) for name in node.inputs)
    if sig.inputs[1].dtype != INT64:
        wide = writer.temporary(f"{node.inputs[1]}_int64")
        writer.node("Cast", [indices], [wide], to=type_number(INT64))
        indices = wide
    writer.node("GatherND", [x, indices], [writer.result(node)])
