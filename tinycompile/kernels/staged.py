"""A kernel that copies its constants to RAM before it reads them many times: for constants in a slow memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinycompile.kernels.base import Constant, Function, Kernel, Sweeps
from tinycompile.kernels.generic_c import names_of
from tinycompile.kernels.work import Work

HEADER = "kernels/tc_fetch.h"

SMALLEST = 64
"""Bytes of an array that is worth a call."""

WORD_TYPES = ("int32_t", "uint32_t")
"""C types of arrays that are whole words at a multiple of 4, which is what is copied."""


def copy_work(size: int) -> Work:
    """Of `tc_fetch_begin` as it comes: LDM and STM of 8 words, which take a cycle for each word and 2 more."""
    return Work(25 + size // 8, 25 + size * 22 // 32)


def staged(kernel: Kernel) -> Kernel | None:
    """The kernel with its constants in scratch, copied there when it is called; None where it has none that can be."""
    arrays = [_is_copied(constant) for constant in kernel.constants]
    if kernel.function is None or kernel.alias_of is not None or not any(arrays):
        return None
    copied = [constant for constant, is_copied in zip(kernel.constants, arrays, strict=True) if is_copied]
    size = sum(_room(constant) for constant in copied)
    work = Work(10, 10)
    for constant in copied:
        work += copy_work(constant.bytes)
    cycles = None if kernel.cycles is None else kernel.cycles + work.cycles
    return replace(
        kernel,
        variant=f"{kernel.variant}_staged",
        function=_function(kernel, kernel.function, arrays),
        scratch_bytes=_first(kernel) + size,
        instructions=kernel.instructions + work.instructions,
        cycles=cycles,
        code_bytes=kernel.code_bytes + 24 + 16 * len(copied),
        sweeps=Sweeps(1),
        copies=kernel.sweeps or Sweeps(1),
        notes={**kernel.notes, "weights": f"copied to {size:,} bytes of RAM, then read from there"},
    )


def _is_copied(constant: Constant) -> bool:
    return constant.ctype in WORD_TYPES and constant.bytes >= SMALLEST


def _room(constant: Constant) -> int:
    return -(-constant.bytes // 8) * 8


def _first(kernel: Kernel) -> int:
    """Where in scratch the copies begin."""
    return -(-kernel.scratch_bytes // 8) * 8


def _function(kernel: Kernel, function: Function, arrays: Sequence[bool]) -> Function:
    """Copies, then calls the kernel's own function."""
    own = function.parameters if kernel.scratch_bytes else (*function.parameters, "void *scratch")
    first = len(own) - 1 - len(kernel.constants)
    arguments, copies, at = names_of(function.parameters), list[str](), _first(kernel)
    for position, (constant, is_copied) in enumerate(zip(kernel.constants, arrays, strict=True), first):
        if is_copied:
            name = arguments[position]
            arguments[position] = f"(const {constant.ctype} *)(const void *)((const uint8_t *)scratch + {at})"
            copies += [
                f"    tc_fetch_begin((uint8_t *)scratch + {at}, {name}, {constant.bytes}u);",
                "    tc_fetch_wait();",
            ]
            at += _room(constant)
    return Function(
        f"staged_{function.stem}",
        own,
        "\n".join([*copies, f"    $0({', '.join(arguments)});"]) + "\n",
        (HEADER,),
        "Copies the constants to RAM, from where they are read more than once.",
        callees=(function,),
    )
