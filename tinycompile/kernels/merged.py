"""Functions that differ in the numbers of a shape, made one that reads these: where code is worth more than time.

Specialised functions are fast and many. A narrower network's layers differ from each other, and from another width's,
in channels and pixels: one function with these as variables takes the room of one or two of them. What decides which
code there is stays constant: windows, strides, what is 0, and whatever is equal.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

from tinycompile.kernels.base import Function
from tinycompile.kernels.generic_c import Fields, ShapeCall, Struct, names_of
from tinycompile.resources import runtime_dir

FIXED = re.compile(r"(\.(kernel_\w+|stride_[xy]|dilation_[xy]|padding_\w+|bits|pre|multiplier|low|high)|\]\.shift)$")
"""Ends of members' paths for whose values loops and instructions are made."""

SPECIALISED = re.compile(r"tc_(mve|rvv|lane_pointwise)")
"""Functions that stay as they are: vector instructions take some numbers as a part of themselves only; for any shape,
GCC warns of tc_lane_pointwise_s8, whose loops are made for each shape anyway."""

LARGEST = 1 << 15
"""Of the numbers that are variables: an int16_t holds them, and whatever they are negated."""

FEW = 4
"""Input channels, up to which code is made for their number."""

FEWEST = 2
"""Functions that are made one."""


@dataclass(frozen=True)
class _Call:
    """A function that is nothing but a call with constant structs.

    Attributes:
        numbers: of the structs' members, by path, that may be variables.
        key: what is the same in functions that can be one.
    """

    function: Function
    call: ShapeCall
    numbers: Mapping[str, int]
    key: object


def merged(functions: Sequence[Function]) -> dict[Function, Function]:
    """By each function that is made one with others: itself as a call of that."""
    groups = defaultdict[object, list[_Call]](list)
    for function in dict.fromkeys(functions):
        call = _call(function)
        if call is not None:
            groups[call.key].append(call)
    found = dict[Function, Function]()
    for calls in groups.values():
        if len(calls) >= FEWEST:
            found |= _merged(calls)
    return found


def with_callees(function: Function, others: Mapping[Function, Function]) -> Function:
    """The function, or what it calls, as others."""
    if function in others:
        return others[function]
    callees = tuple(with_callees(callee, others) for callee in function.callees)
    return function if callees == function.callees else replace(function, callees=callees)


def _call(function: Function) -> _Call | None:
    call = function.text
    if not isinstance(call, ShapeCall) or function.callees or SPECIALISED.match(call.callee):
        return None
    declarations = _declarations(function.headers[0], call.callee)
    if len(declarations) != len(call.arguments) + len(call.structs):
        return None
    numbers, fixed = dict[str, int](), list[object]()
    for path, value in _members([struct.fields for struct in call.structs]):
        few = path.endswith("input_channels") and value in range(FEW + 1)
        if isinstance(value, int) and 0 < abs(value) < LARGEST and not few and not FIXED.search(path):
            numbers[path] = value
            fixed.append((path, value < 0))
        else:
            fixed.append((path, str(value)))
    given = tuple(each if each in _names(function, call) else "" for each in call.arguments)
    types = tuple(struct.ctype for struct in call.structs)
    key = (call.callee, function.parameters, function.headers, call.variables, given, types, tuple(fixed))
    return _Call(function, call, numbers, key)


def _names(function: Function, call: ShapeCall) -> list[str]:
    """What arguments may be beside functions: the same in all that are made one."""
    return [*names_of(function.parameters), *names_of([text.split("[")[0] for text in call.variables]), "NULL"]


@cache
def _declarations(header: str, callee: str) -> tuple[str, ...]:
    """Of a runtime function's parameters; none where it isn't a plain one."""
    text = (runtime_dir() / header).read_text()
    found = re.search(rf"^TC_INLINE void {callee}\(([^()]*)\)", text, re.MULTILINE)
    return tuple(" ".join(each.split()) for each in found[1].split(",")) if found else ()


def _members(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """(path, value) of all that isn't a mapping or a sequence."""
    if isinstance(value, Mapping):
        for name, member in cast(Fields, value).items():
            yield from _members(member, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for index, member in enumerate(cast(Sequence[object], value)):
            yield from _members(member, f"{path}[{index}]")
    else:
        yield path, value


def _with(value: object, found: Mapping[str, str], path: str = "") -> object:
    """With other values at some paths."""
    if isinstance(value, Mapping):
        return {name: _with(member, found, f"{path}.{name}") for name, member in cast(Fields, value).items()}
    if isinstance(value, list | tuple):
        return [_with(member, found, f"{path}[{i}]") for i, member in enumerate(cast(Sequence[object], value))]
    return found.get(path, value)


def _merged(calls: Sequence[_Call]) -> dict[Function, Function]:
    first = calls[0]
    columns = {path: tuple(each.numbers[path] for each in calls) for path in first.numbers}
    differing = [column for column in dict.fromkeys(columns.values()) if len(set(column)) > 1]
    ctype = "int16_t" if any(min(column) < 0 for column in differing) else "uint16_t"
    cast_to = "(uint16_t)" if ctype == "int16_t" else ""  # members may be unsigned
    places = {column: f"{cast_to if column[0] > 0 else ''}numbers[{index}]" for index, column in enumerate(differing)}
    fields = _with(
        [struct.fields for struct in first.call.structs],
        {path: places[column] for path, column in columns.items() if column in places},
    )
    structs = [
        Struct(struct.ctype, cast(Fields, each), struct.name)
        for struct, each in zip(first.call.structs, cast(Sequence[object], fields), strict=True)
    ]
    arguments, given, declared = list(first.call.arguments), list[int](), list[str]()
    declarations = _declarations(first.function.headers[0], first.call.callee)
    for index, declaration in enumerate(declarations[: len(arguments)]):
        if len({each.call.arguments[index] for each in calls}) > 1:
            (arguments[index],) = names_of([declaration])
            given.append(index)
            declared.append(declaration)
    numbers = [f"const {ctype} *numbers"] if differing else []
    common = tuple(text for text in first.function.preambles if all(text in c.function.preambles for c in calls))
    one = Function(
        f"any_{first.call.callee.removeprefix('tc_')}",
        (*first.function.parameters, *declared, *numbers),
        ShapeCall(first.call.callee, arguments, structs, first.call.variables, storage="const"),
        first.function.headers,
        f"{first.function.comment.strip()} For any of {len(calls)} shapes.",
        common,
    )
    return {
        each.function: _told(each, one, given, ctype, [column[i] for column in differing])
        for i, each in enumerate(calls)
    }


def _told(each: _Call, one: Function, given: Sequence[int], ctype: str, numbers: Sequence[int]) -> Function:
    """The function as a call of the one that it is made with others."""
    arguments = [*names_of(each.function.parameters), *(each.call.arguments[index] for index in given)]
    lines = list[str]()
    if numbers:
        lines.append(f"    static const {ctype} numbers[] = {{{', '.join(map(str, numbers))}}};")
        arguments.append("numbers")
    lines.append(f"    $0({', '.join(arguments)});")
    return replace(each.function, text="\n".join(lines) + "\n", callees=(one,))
