"""From a runtime header to a specialised function: a constant shape struct and a call that the C compiler inlines.

Inlined, the members of the `static const` struct are compile-time constants, so one hand-written header serves every
shape without run-time cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

import numpy as np

from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels.base import Constant, Function
from tinycompile.kernels.render import Later
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._spatial import Window

LINE_WIDTH = 100
"""Columns of a struct's members, without the indentation."""


Fields = Mapping[str, object]
"""Members of a C struct in declaration order; a nested mapping is a nested struct, a sequence an array."""


@dataclass(frozen=True)
class Struct:
    """A constant struct in a function's body.

    Attributes:
        ctype: its type, from a runtime header.
        name: of the variable.
    """

    ctype: str
    fields: Fields
    name: str = "shape"


class ShapeCall(Later):
    """Statements of a function that calls one of a runtime header with pointers to structs.

    Attributes:
        callee, arguments, structs, variables: as of `struct_call`.
    """

    def __init__(
        self,
        callee: str,
        arguments: Sequence[str],
        structs: Sequence[Struct],
        variables: Sequence[str] = (),
        storage: str = "static const",
    ) -> None:
        """Args: storage: of the structs."""
        self.callee, self.arguments, self.structs, self.variables = callee, arguments, structs, tuple(variables)
        super().__init__(
            "kernels/shape_call.c.j2",
            structs=structs,
            members=_members,
            variables=variables,
            callee=callee,
            arguments=arguments,
            storage=storage,
        )


def struct_call(
    stem: str,
    callee: str,
    header: str,
    parameters: Sequence[str],
    structs: Sequence[Struct],
    comment: str,
    arguments: Sequence[str] | None = None,
    preambles: Sequence[str] = (),
    variables: Sequence[str] = (),
) -> Function:
    """A function that calls `callee` of `runtime/kernels/<header>` with its parameters, then pointers to the structs.

    Args:
        parameters: C declarations.
        arguments: what the callee takes before the structs; by default the parameters' names in their order.
        preambles: as in `Function`, such as block functions among the arguments.
        variables: C declarations of working memory among the arguments.
    """
    body = ShapeCall(callee, arguments or names_of(parameters), structs, variables)
    return Function(stem, tuple(parameters), body, (f"kernels/{header}",), comment, tuple(preambles))


def together(function: Function, callee: str, header: str) -> Function:
    """The same by two cores (`Kernel.together`), of which `callee` takes meeting and core in front of the structs.

    Args:
        function: as `struct_call` makes it.

    Raises:
        TypeError: it is another one.
    """
    text = function.text
    if not isinstance(text, Later):
        raise TypeError(f"{function.stem} isn't made by struct_call")
    given = cast(Sequence[str], text.value("arguments"))
    return replace(
        function,
        stem=f"{function.stem}_together",
        parameters=(*function.parameters, "tc_meeting *meeting", "int32_t core"),
        text=text.but(callee=callee, arguments=[*given, "meeting", "core"]),
        headers=(f"kernels/{header}", *function.headers),
    )


def names_of(parameters: Sequence[str]) -> list[str]:
    """The names that C declarations declare."""
    return [_name_of(declaration) for declaration in parameters]


@cache
def _name_of(declaration: str) -> str:
    return declaration.replace("*", " ").split()[-1]


def _members(fields: Fields) -> list[str]:
    """Lines of an initialiser: members beside each other, nested structs on lines of their own."""
    lines, beside = list[str](), list[str]()
    for name, value in fields.items():
        if isinstance(value, Mapping):
            lines += _beside(beside)
            nested = _members(cast(Fields, value))
            lines += [f".{name} = {{", *(f"    {line}" for line in nested), "},"]
            beside = []
        else:
            beside.append(f".{name} = {_literal(value)},")
    return lines + _beside(beside)


def _beside(members: Sequence[str]) -> list[str]:
    """The same on as few lines as hold them."""
    lines = [""]
    for member in members:
        if lines[-1] and len(lines[-1]) + len(member) >= LINE_WIDTH:
            lines.append("")
        lines[-1] += f" {member}" if lines[-1] else member
    return lines if members else []


def _literal(value: object) -> str:
    """A struct member's value in C."""
    match value:
        case float() | np.floating():
            return f"{float(value).hex()}f"
        case Mapping():
            members = cast(Fields, value)
            return "{" + ", ".join(f".{name} = {_literal(member)}" for name, member in members.items()) + "}"
        case list() | tuple():
            return "{" + ", ".join(map(_literal, cast(Sequence[object], value))) + "}"
        case _:
            return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def range_fields(zero_point: int, clamp: tuple[int, int]) -> Fields:
    """Members of a `tc_output_range`."""
    return {"zero_point": zero_point, "low": clamp[0], "high": clamp[1]}


NO_SHORT_REQUANT = {"multiplier": 0, "right": 0, "offset": 0}


def factor_fields(factor: tuple[int, int]) -> Fields:
    """Members of a fixed-point factor, (multiplier, shift)."""
    return {"multiplier": factor[0], "shift": factor[1]}


def shape_stem(site: Site) -> str:
    """A function's name by the operator and its input's shape."""
    return f"{site.node.op.kind}_{'x'.join(map(str, site.sig.input.shape))}"


def short_requant(rule: TfliteRequant) -> Fields | None:
    """Members of a `tc_short_requant` for the rule of a single channel; None where its factor is out of range."""
    right = -int(rule.shift[0])
    if rule.single_rounding or not 1 <= right <= 15:
        return None
    offset = (rule.zero_point << right) + (1 << (right - 1))
    return {"multiplier": int(rule.multiplier[0]), "right": right, "offset": offset}


def window_fields(window: Window, x: TensorType, y: TensorType) -> Mapping[str, int]:
    """Members of a `tc_window` for NHWC tensors."""
    return positions_fields(window, x.shape[1:3], y.shape[1:3])


def positions_fields(window: Window, image: Sequence[int], made: Sequence[int]) -> Mapping[str, int]:
    """Members of a `tc_window` over an image of so many rows and columns, which makes one of `made`."""
    return {
        "input_height": image[0],
        "input_width": image[1],
        "output_height": made[0],
        "output_width": made[1],
        **reach_fields(window),
    }


def reach_fields(window: Window) -> Mapping[str, int]:
    """Members of all shapes that say which positions of an image windows reach."""
    return {
        "kernel_height": window.kernel[0],
        "kernel_width": window.kernel[1],
        "stride_y": window.stride[0],
        "stride_x": window.stride[1],
        "dilation_y": window.dilation[0],
        "dilation_x": window.dilation[1],
        "padding_top": window.padding[0],
        "padding_left": window.padding[2],
    }


def window_stem(window: Window, x: TensorType, y: TensorType) -> str:
    """For example 3x3s2_96x96x3_8: kernel, stride, input, output channels."""
    (kh, kw), (sh, sw), (_, h, w, c) = window.kernel, window.stride, x.shape
    stride = f"s{sh}" if sh == sw else f"s{sh}x{sw}"
    return f"{kh}x{kw}{stride}_{h}x{w}x{c}_{y.shape[3]}"


def weight_constant(weights: Array) -> Constant:
    dtype = weights.dtype.name
    return Constant("weights", f"{dtype}_t", weights.ravel(), f"{dtype}[{'x'.join(map(str, weights.shape))}]")
