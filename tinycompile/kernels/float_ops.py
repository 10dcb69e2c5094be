"""float32 operators in plain C."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for
from tinycompile.kernels.binary import broadcast_loops
from tinycompile.kernels.generic_c import Struct, sized_window_fields, struct_call
from tinycompile.ops.add import Add
from tinycompile.ops.div import Div
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.float_concatenation import FloatConcatenation
from tinycompile.ops.float_conv2d import FloatConv2D
from tinycompile.ops.float_matmul import FloatMatMul
from tinycompile.ops.float_pad import FloatPad
from tinycompile.ops.float_pool2d import FloatPool2D
from tinycompile.ops.float_reduce import FloatReduce
from tinycompile.ops.hard_swish import HardSwish
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.pow import Pow
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.relu import Relu
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.tanh import Tanh
from tinycompile.targets.core import Core

LOOPS = 6
_IN_OUT = ("const float *input", "float *output")


def _kernel(
    site: Site,
    function: Function,
    work: int,
    constants: tuple[Constant, ...] = (),
    overlap: Mapping[int, int] | None = None,
) -> Kernel:
    return Kernel(
        f"{site.node.op.kind}_float",
        function,
        constants,
        instructions=30 + work,
        code_bytes=250,
        overlap=dict(overlap or {}),
        notes={"reason": "float32 in plain C"},
    )


def _per_flop(core: Core) -> int:
    return 4 if core.has("fpu") else 120


def _floats(suffix: str, value: Array) -> Constant:
    return Constant(suffix, "float", np.ascontiguousarray(value, np.float32).ravel(), f"float32{list(value.shape)}")


def _finite(site: Site) -> bool:
    """C has no literals for the other floats."""
    return all(value is None or np.all(np.isfinite(value)) for value in site.constants)


@kernel_for(ElementwiseFunction, HardSwish, LeakyRelu, Logistic, Relu, Tanh, dtype="float32")
def unary(site: Site, core: Core) -> Kernel | None:
    """`tc_float_unary`."""
    op, count = site.node.op, site.sig.output.elements
    name, a, b = op.kind, 0.0, 0.0
    match op:
        case ElementwiseFunction():
            name, a, b = op.function, op.a, op.b
        case LeakyRelu():
            a = op.alpha
        case _:
            pass
    limit = float(np.finfo(np.float32).max)
    a, b = (np.float32(min(max(v, -limit), limit)) for v in (a, b))
    function = struct_call(
        f"{name}_{count}",
        "tc_float_unary",
        "tc_float_unary.h",
        _IN_OUT,
        (Struct("tc_float_unary_shape", {"count": count, "a": a, "b": b}),),
        f"{name} of every element.",
        ("input", "output", f"tc_map_{name}"),
    )
    return _kernel(site, function, count * 10 * _per_flop(core), overlap={0: 0})


@kernel_for(Softmax, dtype="float32")
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
        _IN_OUT,
        (Struct("tc_float_softmax_shape", {"rows": rows, "depth": depth, "beta": np.float32(op.beta)}),),
        "Softmax over the last axis.",
    )
    return _kernel(site, function, sig.input.elements * 20 * _per_flop(core), overlap={0: 0})


def _operands(site: Site) -> tuple[tuple[str, ...], tuple[Constant, ...]]:
    """Parameters a, b and the output in the order in which functions take them, and the constant operands."""
    dynamic = [f"const float *{'ab'[index]}" for index, _ in site.dynamic_inputs()]
    constant = [index for index, value in enumerate(site.constants) if value is not None]
    parameters = (*dynamic, "float *output", *(f"const float *{'ab'[index]}" for index in constant))
    return parameters, tuple(_floats(f"operand_{index}", site.constant(index)) for index in constant)


@kernel_for(Add, Sub, Mul, Div, Minimum, Maximum, Pow, Prelu, dtype="float32")
def binary(site: Site, core: Core) -> Kernel | None:
    """`tc_float_binary`; None for shapes with more loops than it has."""
    op, sig = site.node.op, site.sig
    if not _finite(site):
        return None
    loops = broadcast_loops(sig.inputs[0].shape, sig.inputs[1].shape)
    if len(loops) > LOOPS:
        return None
    sizes, a_strides, b_strides = zip(*([(1, 0, 0)] * (LOOPS - len(loops)) + loops), strict=True)
    count = sig.output.elements
    fields = {"count": count, "size": sizes, "a_stride": a_strides, "b_stride": b_strides}
    parameters, constants = _operands(site)
    function = struct_call(
        f"float_{op.kind}_{count}",
        "tc_float_binary",
        "tc_float_binary.h",
        parameters,
        (Struct("tc_float_binary_shape", fields),),
        f"{op.kind} of two tensors.",
        ("a", "b", "output", f"tc_float_{op.kind}"),
    )
    same = {i: 0 for i, t in site.dynamic_inputs() if t.shape == sig.output.shape}
    return _kernel(site, function, count * (8 + _per_flop(core)), constants, overlap=same)


@kernel_for(FloatMatMul, dtype="float32")
def matmul(site: Site, core: Core) -> Kernel | None:
    """`tc_float_matmul`; None for a batch with more than three loops."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FloatMatMul) or not _finite(site):
        return None
    a, b = sig.inputs[0].shape, sig.inputs[1].shape
    rows, depth, columns = a[-2], a[-1], b[-1]
    loops = broadcast_loops(a[:-2], b[:-2])
    if len(loops) > 3:
        return None
    sizes, a_strides, b_strides = zip(*([(1, 0, 0)] * (3 - len(loops)) + loops), strict=True)
    fields = {
        "size": sizes,
        "a_stride": tuple(s * rows * depth for s in a_strides),
        "b_stride": tuple(s * depth * columns for s in b_strides),
        "rows": rows,
        "depth": depth,
        "columns": columns,
    }
    parameters, constants = _operands(site)
    function = struct_call(
        f"float_matmul_{rows}x{depth}x{columns}",
        "tc_float_matmul",
        "tc_float_matmul.h",
        parameters,
        (Struct("tc_float_matmul_shape", fields),),
        "Matrix product.",
        ("a", "b", "output"),
    )
    return _kernel(site, function, op.macs(sig) * (4 + _per_flop(core)), constants)


@kernel_for(FloatConv2D, dtype="float32")
def conv2d(site: Site, core: Core) -> Kernel | None:
    """`tc_float_conv2d`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FloatConv2D) or any(c is None for c in site.constants[1:]) or not _finite(site):
        return None
    x, y = sig.input.shape, sig.output.shape
    has_bias = len(sig.inputs) > 2
    fields = {"window": sized_window_fields(op.window_of(sig), x[2:], y[2:]), "batch": x[0], "input_channels": x[1]}
    fields |= {"output_channels": y[1], "groups": op.groups(sig)}
    constants = [_floats("weights", site.constant(1))] + ([_floats("bias", site.constant(2))] if has_bias else [])
    function = struct_call(
        f"float_conv2d_{'x'.join(map(str, y))}",
        "tc_float_conv2d",
        "tc_float_conv2d.h",
        (*_IN_OUT, "const float *weights", *(["const float *bias"] if has_bias else [])),
        (Struct("tc_float_conv2d_shape", fields),),
        "Convolution in ONNX's layout, straight from its definition.",
        ("input", "output", "weights", "bias" if has_bias else "NULL"),
    )
    return _kernel(site, function, op.macs(sig) * (8 + _per_flop(core)), tuple(constants))


@kernel_for(FloatPool2D, dtype="float32")
def pool2d(site: Site, core: Core) -> Kernel | None:
    """`tc_float_pool2d`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FloatPool2D):
        return None
    x, y = sig.input.shape, sig.output.shape
    names = ("count_top", "count_bottom", "count_left", "count_right")
    fields = {
        "window": sized_window_fields(op.window, x[2:], y[2:]),
        "channels": x[0] * x[1],
        "average": int(op.function == "average"),
    }
    fields |= dict(zip(names, op.count, strict=True))
    function = struct_call(
        f"float_{op.function}_pool_{'x'.join(map(str, y))}",
        "tc_float_pool2d",
        "tc_float_pool2d.h",
        _IN_OUT,
        (Struct("tc_float_pool2d_shape", fields),),
        "Pooling in ONNX's layout.",
    )
    return _kernel(site, function, sig.output.elements * prod(op.kernel) * (12 + _per_flop(core)))


@kernel_for(FloatReduce, dtype="float32")
def reduce(site: Site, core: Core) -> Kernel | None:
    """`tc_float_reduce`; None for alternations of kept and reduced axes with more loops than it has."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FloatReduce):
        return None
    kept, reduced = _reduce_loops(sig.input.shape, op.axes)
    if len(kept) > 3 or len(reduced) > 3:
        return None
    fields = dict[str, object]()
    for name, loops in (("kept", kept), ("reduced", reduced)):
        sizes, strides = zip(*([(1, 0)] * (3 - len(loops)) + loops), strict=True)
        fields |= {f"{name}_size": sizes, f"{name}_stride": strides}
    count = sig.input.elements // sig.output.elements
    fields["divisor"] = np.float32(count if op.function == "mean" else 1)
    step = {"mean": "add", "sum": "add", "min": "minimum", "max": "maximum"}[op.function]
    function = struct_call(
        f"float_{op.function}_{'x'.join(map(str, sig.input.shape))}",
        "tc_float_reduce",
        "tc_float_reduce.h",
        _IN_OUT,
        (Struct("tc_float_reduce_shape", fields),),
        f"{op.function} over some axes.",
        ("input", "output", f"tc_float_{step}"),
    )
    return _kernel(site, function, sig.input.elements * (8 + _per_flop(core)))


def _reduce_loops(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(size, stride in elements) of as few loops as it takes over kept and over reduced axes, outermost first."""
    loops, stride = list[tuple[int, int, bool]](), prod(shape)
    for axis, size in enumerate(shape):
        stride //= size
        if size == 1:
            continue
        if loops and loops[-1][2] == (axis in axes):
            loops[-1] = (loops[-1][0] * size, stride, axis in axes)
        else:
            loops.append((size, stride, axis in axes))
    return [(n, s) for n, s, gone in loops if not gone], [(n, s) for n, s, gone in loops if gone]


@kernel_for(FloatPad, dtype="float32")
def pad(site: Site, core: Core) -> Kernel | None:
    """`tc_float_pad`."""
    op, sig = site.node.op, site.sig
    rank = len(sig.input.shape)
    if not isinstance(op, FloatPad) or rank > LOOPS or not np.isfinite(op.value):
        return None
    ones = (1,) * (LOOPS - rank)
    before = (0,) * (LOOPS - rank) + tuple(pair[0] for pair in op.amounts)
    fields = {"size": ones + sig.output.shape, "before": before, "inside": ones + sig.input.shape}
    fields |= {"value": np.float32(op.value)}
    function = struct_call(
        f"float_pad_{'x'.join(map(str, sig.output.shape))}",
        "tc_float_pad",
        "tc_float_pad.h",
        _IN_OUT,
        (Struct("tc_float_pad_shape", fields),),
        "A border around the input.",
    )
    return _kernel(site, function, sig.output.elements * 60)


@kernel_for(FloatConcatenation, dtype="float32")
def concatenation(site: Site, core: Core) -> Kernel | None:
    """`tc_float_part` for each operand."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FloatConcatenation) or not _finite(site):
        return None
    outer = prod(sig.output.shape[: op.axis])
    stride, first, body = sig.output.elements // outer, 0, ""
    for index, t in enumerate(sig.inputs):
        run = t.elements // outer
        fields = f"{{{outer}, {run}, {stride}, {first}}}"
        body += f"    static const tc_float_part_shape part_{index} = {fields};\n"
        body += f"    tc_float_part(input_{index}, output, &part_{index});\n"
        first += run
    constant = [index for index, value in enumerate(site.constants) if value is not None]
    parameters = (
        *(f"const float *input_{index}" for index, _ in site.dynamic_inputs()),
        "float *output",
        *(f"const float *input_{index}" for index in constant),
    )
    function = Function(
        f"float_concatenation_{sig.output.elements}",
        parameters,
        body,
        ("kernels/tc_float_pad.h",),
        "The operands side by side.",
    )
    constants = tuple(_floats(f"operand_{index}", site.constant(index)) for index in constant)
    return _kernel(site, function, sig.output.elements * 6, constants)
