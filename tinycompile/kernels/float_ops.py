"""float32 operators in plain C."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for
from tinycompile.kernels.binary import broadcast_of
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.reduce_loops import reduce_loops
from tinycompile.ops import all_ops
from tinycompile.ops._elementwise import RealBinary, RealUnary
from tinycompile.ops._reduce import Reduction
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.elu import Elu
from tinycompile.ops.gelu import Gelu
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.mean import Mean
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.softmax import Softmax
from tinycompile.targets.core import Core

_REAL_FUNCTIONS = tuple(op for op in all_ops().values() if issubclass(op, RealUnary))
_REAL_PAIRS = tuple(op for op in all_ops().values() if issubclass(op, RealBinary))
LOOPS = 6
IN_OUT = ("const float *input", "float *output")
REDUCE_STEPS: Mapping[type[Reduction], str] = {
    Mean: "add",
    ReduceMax: "maximum",
    ReduceMin: "minimum",
    ReduceProd: "mul",
    ReduceSum: "add",
}


def float_kernel(
    site: Site,
    function: Function,
    work: int,
    constants: tuple[Constant, ...] = (),
    overlap: Mapping[int, int] | None = None,
) -> Kernel:
    """A kernel that executes about `work` instructions."""
    return Kernel(
        f"{site.node.op.kind}_float",
        function,
        constants,
        instructions=30 + work,
        code_bytes=250,
        overlap=dict(overlap or {}),
        notes={"reason": "float32 in plain C"},
    )


def per_operation(core: Core) -> int:
    """Estimated instructions of a sum, a product or a comparison."""
    return 4 if core.has("fpu") else 120


def floats(suffix: str, value: Array) -> Constant:
    """A constant operand."""
    return Constant(suffix, "float", np.ascontiguousarray(value, np.float32).ravel(), f"float32{list(value.shape)}")


def has_float_constants(site: Site) -> bool:
    """Whether a layer's weights and bias are floats and known."""
    constants = zip(site.constants[1:], site.sig.inputs[1:], strict=True)
    return all(value is not None and t.dtype == FLOAT32 for value, t in constants)


@kernel_for(*_REAL_FUNCTIONS, dtype=FLOAT32)
def unary(site: Site, core: Core) -> Kernel | None:
    """`tc_float_unary`."""
    op, count = site.node.op, site.sig.output.elements
    name, a, b = op.kind, 0.0, 0.0
    match op:
        case ElementwiseFunction():
            name, a, b = op.function, op.a, op.b
        case LeakyRelu() | Elu():
            a = op.alpha
        case Gelu(approximate=True):
            name = "gelu_tanh"
        case _:
            pass
    limit = float(np.finfo(np.float32).max)
    a, b = (np.float32(min(max(v, -limit), limit)) for v in (a, b))
    function = struct_call(
        f"{name}_{count}",
        "tc_float_unary",
        "tc_float_unary.h",
        IN_OUT,
        (Struct("tc_float_unary_shape", {"count": count, "a": a, "b": b}),),
        f"{name} of every element.",
        ("input", "output", f"tc_map_{name}"),
    )
    return float_kernel(site, function, count * 10 * per_operation(core), overlap={0: 0})


@kernel_for(Softmax, dtype=FLOAT32)
def softmax(site: Site, core: Core) -> Kernel | None:
    """`tc_float_softmax`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Softmax):
        return None
    depth = sig.input.shape[-1]
    rows = sig.input.elements // depth
    function = struct_call(
        f"float_softmax_{rows}x{depth}",
        "tc_float_softmax",
        "tc_float_softmax.h",
        IN_OUT,
        (Struct("tc_float_softmax_shape", {"rows": rows, "depth": depth, "beta": np.float32(op.beta)}),),
        "Softmax over the last axis.",
    )
    return float_kernel(site, function, sig.input.elements * 20 * per_operation(core), overlap={0: 0})


def _operands(site: Site) -> tuple[tuple[str, ...], tuple[Constant, ...]]:
    """Parameters a, b and the output in the order in which functions take them, and the constant operands."""
    dynamic = [f"const float *{'ab'[index]}" for index, _ in site.dynamic_inputs()]
    constant = [index for index, value in enumerate(site.constants) if value is not None]
    parameters = (*dynamic, "float *output", *(f"const float *{'ab'[index]}" for index in constant))
    return parameters, tuple(floats(f"operand_{index}", site.constant(index)) for index in constant)


@kernel_for(*_REAL_PAIRS, dtype=FLOAT32)
def binary(site: Site, core: Core) -> Kernel | None:
    """`tc_float_binary`; None for shapes with more loops than it has."""
    op, sig = site.node.op, site.sig
    shape = broadcast_of(site)
    if shape is None:
        return None
    count = sig.output.elements
    parameters, constants = _operands(site)
    function = struct_call(
        f"float_{op.kind}_{count}",
        "tc_float_binary",
        "tc_float_binary.h",
        parameters,
        (shape.struct,),
        f"{op.kind} of two tensors.",
        ("a", "b", "output", f"tc_float_{op.kind}"),
    )
    same = {i: 0 for i, t in site.dynamic_inputs() if t.shape == sig.output.shape}
    return float_kernel(site, function, count * (8 + per_operation(core)), constants, overlap=same)


@kernel_for(Mean, ReduceMax, ReduceMin, ReduceProd, ReduceSum, dtype=FLOAT32)
def reduce(site: Site, core: Core) -> Kernel | None:
    """`tc_float_reduce`; None for alternations of kept and reduced axes with more loops than it has."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Reduction):
        return None
    kept, reduced = reduce_loops(sig.input.shape, op.axes)
    if len(kept) > 3 or len(reduced) > 3:
        return None
    fields = dict[str, object]()
    for name, loops in (("kept", kept), ("reduced", reduced)):
        sizes, strides = zip(*([(1, 0)] * (3 - len(loops)) + loops), strict=True)
        fields |= {f"{name}_size": sizes, f"{name}_stride": strides}
    fields["divisor"] = np.float32(op.count(sig) if isinstance(op, Mean) else 1)
    function = struct_call(
        f"float_{op.kind}_{'x'.join(map(str, sig.input.shape))}",
        "tc_float_reduce",
        "tc_float_reduce.h",
        IN_OUT,
        (Struct("tc_float_reduce_shape", fields),),
        f"{op.kind} over some axes.",
        ("input", "output", f"tc_float_{REDUCE_STEPS[type(op)]}"),
    )
    return float_kernel(site, function, sig.input.elements * (8 + per_operation(core)))
