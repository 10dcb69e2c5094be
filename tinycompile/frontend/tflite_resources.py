"""Variables that operators name instead of having them as operands: VAR_HANDLE, and CALL_ONCE, which initialises them.

A handle is a tensor of the type RESOURCE that stands for a name. The subgraph of CALL_ONCE runs before the first
inference; what it assigns is what a variable begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinycompile.frontend.tflite_schema import tflite
from tinycompile.ir import Array

HANDLE, READ, ASSIGN, INITIALISE = "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"


@dataclass(frozen=True, eq=False)
class Operation:
    """An operator, as far as variables are concerned.

    Attributes:
        options: the raw table, which may be missing.
    """

    name: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Any


@dataclass(frozen=True, eq=False)
class Resources:
    """The variables of a file that have handles.

    Attributes:
        handles: the name that each tensor stands for.
        initial: by name what a variable begins with; those that nothing initialises are missing.
        problem: why the subgraph of a CALL_ONCE can't be followed; empty if it can.
    """

    handles: Mapping[int, str]
    initial: Mapping[str, Array]
    problem: str = ""


def handles_of(operations: Sequence[Operation]) -> dict[int, str]:
    """By tensor the name that it stands for: container and shared name."""
    return {op.outputs[0]: _name(op.options) for op in operations if op.name == HANDLE and len(op.outputs) == 1}


def _name(options: Any) -> str:
    table: Any = tflite.VarHandleOptions()
    if options is None:
        return ""
    table.Init(options.Bytes, options.Pos)
    parts: list[str] = [part.decode("utf-8", "replace") for part in (table.Container(), table.SharedName()) if part]
    return "/".join(parts)


def initialiser_of(options: Any) -> int:
    """The subgraph that a CALL_ONCE runs."""
    table: Any = tflite.CallOnceOptions()
    if options is None:
        return 0
    table.Init(options.Bytes, options.Pos)
    return int(table.InitSubgraphIndex())


def initial_values(
    operations: Sequence[Operation], constant: Callable[[int], Array | None]
) -> tuple[dict[str, Array], str]:
    """(what the operators of an initialising subgraph assign by name, why they can't be followed or nothing).

    Args:
        constant: the value of a tensor, if the file has it.
    """
    handles, found = handles_of(operations), dict[str, Array]()
    for op in operations:
        if op.name == HANDLE:
            continue
        if op.name != ASSIGN or len(op.inputs) != 2 or op.inputs[0] not in handles:
            return found, f"the subgraph that it runs has the operator {op.name}, supported are constants for variables"
        value = constant(op.inputs[1])
        if value is None:
            return found, "the subgraph that it runs computes what a variable begins with, supported are constants"
        found[handles[op.inputs[0]]] = value
    return found, ""
