"""float32 convolutions of volumes, in plain C."""

from __future__ import annotations

from math import gcd, prod

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.float_layers import bounds_fields
from tinycompile.kernels.float_ops import IN_OUT, float_kernel, floats, per_operation
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.ops.conv3d import Conv3D
from tinycompile.ops.conv3d_transpose import Conv3DTranspose
from tinycompile.targets.core import Core


@kernel_for(Conv3D, dtype=FLOAT32)
def conv3d(site: Site, core: Core) -> Kernel | None:
    """`tc_float_conv3d`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv3D):
        return None
    (_, planes, height, width, _), x, y = sig.inputs[1].shape, sig.input.shape, sig.output.shape
    window = {"input_height": x[2], "input_width": x[3], "output_height": y[2], "output_width": y[3]}
    window |= {"kernel_height": height, "kernel_width": width, "stride_y": op.stride[1], "stride_x": op.stride[2]}
    window |= {"dilation_y": op.dilation[1], "dilation_x": op.dilation[2]}
    window |= {"padding_top": op.padding[1][0], "padding_left": op.padding[2][0]}
    depth = {"inputs": x[1], "outputs": y[1], "kernel": planes, "stride": op.stride[0], "dilation": op.dilation[0]}
    fields: Fields = {
        "window": window,
        "depth": {**depth, "padding": op.padding[0][0]},
        "batch": x[0],
        "input_channels": x[4],
        "output_channels": y[4],
        "bounds": bounds_fields(op.bounds),
    }
    work = op.macs(sig) * per_operation(core) + sig.output.elements * 12
    return _kernel(site, fields, work, "Convolution of volumes.")


@kernel_for(Conv3DTranspose, dtype=FLOAT32)
def conv3d_transpose(site: Site, core: Core) -> Kernel | None:
    """`tc_float_conv3d_transpose`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv3DTranspose):
        return None
    axes = {name: _axis(op, site, axis) for axis, name in enumerate(("planes", "rows", "columns"))}
    x, y = sig.input.shape, sig.output.shape
    fields: Fields = {**axes, "batch": x[0], "input_channels": x[4], "output_channels": y[4]}
    work = op.macs(sig) * (4 + per_operation(core)) + sig.output.elements * 15 + prod(y[:4]) * 10
    return _kernel(site, fields, work, "Transposed convolution of volumes: every output gathers what reaches it.")


def _axis(op: Conv3DTranspose, site: Site, axis: int) -> Fields:
    """Members of a `tc_transpose_axis`."""
    stride, dilation = op.stride[axis], op.dilation[axis]
    common = gcd(stride, dilation)
    return {
        "inputs": site.sig.input.shape[1 + axis],
        "outputs": op.size[axis],
        "kernel": site.sig.inputs[1].shape[1 + axis],
        "stride": stride,
        "dilation": dilation,
        "cut": op.cut[axis],
        "step": stride // common,
        "apart": dilation // common,
    }


def _kernel(site: Site, fields: Fields, work: int, comment: str) -> Kernel | None:
    """`tc_float_<kind>`; None where weights and bias aren't constants."""
    if any(constant is None for constant in site.constants[1:]):
        return None
    has_bias, kind = len(site.sig.inputs) > 2, site.node.op.kind
    constants: tuple[Constant, ...] = (floats("weights", site.constant(1)),)
    if has_bias:
        constants += (floats("bias", site.constant(2)),)
    sizes = ("x".join(map(str, shape)) for shape in (site.sig.inputs[1].shape[1:4], site.sig.input.shape[1:]))
    function = struct_call(
        f"{kind}_{'_'.join(sizes)}_{site.sig.output.shape[4]}",
        f"tc_float_{kind}",
        f"tc_float_{kind}.h",
        (*IN_OUT, *(f"const float *{constant.suffix}" for constant in constants)),
        (Struct(f"tc_float_{kind}_shape", fields),),
        comment,
        ("input", "output", "weights", "bias" if has_bias else "NULL"),
    )
    return float_kernel(site, function, work, constants)
