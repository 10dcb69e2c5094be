"""A kernel that copies its constants to RAM before it reads them many times: for constants in a slow memory."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.kernels.base import Beaten, CodeSize, Constant, Function, Kernel, Sweeps, never
from tinycompile.kernels.generic_c import names_of
from tinycompile.kernels.work import Work

HEADERS = ("kernels/tc_align.h", "kernels/tc_fetch.h")

SMALLEST = 64
"""Bytes of an array that is worth a call."""

BYTE_COST = 5
"""Instructions for a byte of an array that isn't words, at most: what a C library's memcpy takes that copies bytes."""

WORD = 4

LINE_WORDS = 8
"""Of a line of a data cache: places for tiles are whole lines: DMA may write them while the core writes beside them."""

LINE_SPARE = 24
"""Bytes from a multiple of 8 to the next line, at most."""


def read_once(size: int, places: int) -> str:
    """A note on constants that are read tile by tile."""
    meanwhile = ", the next tile is fetched while the core works on one" if places == 2 else ""
    return f"read once, by way of {size:,} bytes of RAM{meanwhile}"


def copy_work(size: int) -> Work:
    """Of `tc_fetch_begin` as it comes: LDM and STM of 8 words, which take a cycle for each word and 2 more."""
    return Work(25 + size // 8, 25 + size * 22 // 32)


def copies_work(count: int, together: int, size: int) -> Work:
    """Of copies of tiles: of `count` pieces of `size` bytes, so many `together` in each tile but for the last."""
    whole, rest = divmod(count, together)
    return whole * copy_work(size * together) + (copy_work(size * rest) if rest else Work(0, 0))


def filled_otherwise(tiled: Kernel, copied: Sequence[int], each: Work, work: Work) -> Kernel:
    """A kernel that copies tiles of its weights to RAM, made one that fills them in another way.

    Args:
        copied: bytes of each tile that it copies. each: what begins to fill one. work: what fills all of them.
    """
    more = sum((each + -1 * copy_work(size) for size in copied), work)
    return tiled.but(
        instructions=tiled.instructions + more.instructions,
        cycles=None if tiled.cycles is None else tiled.cycles + more.cycles,
        copies=None,  # what fills them reads other constants; `tc_fetch.h` has no part in it
    )


def staged(kernel: Kernel, beaten: Beaten = never) -> Kernel | None:
    """The kernel with its constants in scratch, copied there when it is called; None where it has none that can be, or
    nobody wants it.
    """
    arrays = [_is_copied(constant) for constant in kernel.constants]
    if kernel.function is None or kernel.alias_of is not None or not any(arrays) or kernel.coding is not None:
        return None
    if any(constant.lent for constant in kernel.constants):
        return None
    copied = [constant for constant, is_copied in zip(kernel.constants, arrays, strict=True) if is_copied]
    size = sum(_room(constant) for constant in copied)
    work = Work(10, 10)
    for constant in copied:
        work += copy_work(constant.bytes) if _is_words(constant) else Work(25, 25) + BYTE_COST * constant.bytes
    instructions, scratch = kernel.instructions + work.instructions, _first(kernel) + size
    cycles = None if kernel.cycles is None else kernel.cycles + work.cycles
    code_bytes = kernel.code_bytes + 24 + 16 * len(copied)
    if beaten(instructions if cycles is None else cycles, scratch, kernel.constant_bytes + code_bytes):
        return None
    return kernel.but(
        variant=f"{kernel.variant}_staged",
        function=_function(kernel, kernel.function, arrays),
        scratch_bytes=scratch,
        instructions=instructions,
        cycles=cycles,
        code_bytes=code_bytes,
        code=None if kernel.code is None else CodeSize(kernel.code.own + 60, kernel.code.shared),
        sweeps=Sweeps(1),
        copies=kernel.sweeps or Sweeps(1),
        notes={**kernel.notes, "weights": f"copied to {size:,} bytes of RAM, then read from there"},
    )


def _is_copied(constant: Constant) -> bool:
    return constant.bytes >= SMALLEST


def _is_words(constant: Constant) -> bool:
    """Whether it lies at a multiple of 4 and has no part of a word: elements, or a member of a struct, are words."""
    dtype = constant.layout[1]
    largest = max((part.itemsize for part, *_ in dtype.fields.values()), default=0) if dtype.fields else dtype.itemsize
    return largest >= WORD and dtype.itemsize % WORD == 0


def _room(constant: Constant) -> int:
    return -(-constant.bytes // 8) * 8


def _first(kernel: Kernel) -> int:
    """Where in scratch the copies begin."""
    return -(-kernel.scratch_bytes // 8) * 8


def _function(kernel: Kernel, function: Function, arrays: Sequence[bool]) -> Function:
    """Copies, then calls the kernel's own function."""
    stem, own = f"staged_{function.stem}", _parameters(kernel, function)
    return Function.later(stem, own, lambda: _made(kernel, function, arrays))


def _parameters(kernel: Kernel, function: Function) -> tuple[str, ...]:
    return function.parameters if kernel.scratch_bytes else (*function.parameters, "void *scratch")


def _made(kernel: Kernel, function: Function, arrays: Sequence[bool]) -> Function:
    own = _parameters(kernel, function)
    first = len(own) - 1 - len(kernel.constants)
    arguments, copies, at = names_of(function.parameters), list[str](), _first(kernel)
    for position, (constant, is_copied) in enumerate(zip(kernel.constants, arrays, strict=True), first):
        if is_copied:
            name = arguments[position]
            place = f"(uint8_t *)scratch + {at}"
            arguments[position] = f"(const {constant.ctype} *)(const void *)({place})"
            if _is_words(constant):
                copies += [f"    tc_fetch_begin({place}, {name}, {constant.bytes}u);", "    tc_fetch_wait();"]
            else:
                copies.append(f"    tc_memcpy({place}, {name}, {constant.bytes}u);")
            at += _room(constant)
    return Function(
        f"staged_{function.stem}",
        own,
        "\n".join([*copies, f"    $0({', '.join(arguments)});"]) + "\n",
        HEADERS,
        "Copies the constants to RAM, from where they are read more than once.",
        callees=(function,),
    )
