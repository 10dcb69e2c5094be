"""A kernel whose constants are pieces of a wider network's: read where they are, or put together in scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.kernels.array_pieces import STEP_BYTES, Lender, Pieces, coded_alone
from tinycompile.kernels.base import CodeSize, Constant, Function, Kernel, Sweeps
from tinycompile.kernels.generic_c import names_of
from tinycompile.kernels.packed_pixels import matrix_of
from tinycompile.kernels.work import Work

HEADERS = ("kernels/tc_shared.h",)

SMALLEST = 32
"""Bytes of an array's that are worth a call, with its steps."""

CALL_BYTES = 60
"""Of code and of the shape: a call, and the function that makes it."""

LOOP_BYTES = {"tc_shared_words": 620, "tc_shared_bytes": 150, "tc_shared_groups": 220}
"""Of code."""

LONG = 8
"""Words of a run that `tc_copy_words` copies."""

ALIGNED = 8
"""Bytes at a multiple of which kernels expect their arrays."""

CALL, STEP, TIME, ELEMENT, BYTE = Work(80, 80), Work(16, 16), Work(36, 36), Work(16, 16), Work(4, 4)
"""Of a call, of a step, of each time that it is executed, of a coded word, of a byte; counted from the assembly."""


GROUP_TIME = Work(20, 20)
"""Of a weight that groups are made of, counted as the others."""


@dataclass(frozen=True)
class Regrouped:
    """A stream of groups of which `whole` has the weights, in other groups.

    Attributes:
        place: in scratch.
        channels, windows, depth, skipped: as of `tc_shared_groups_shape`.
    """

    constant: Constant
    whole: Constant
    place: int
    channels: int
    windows: int
    depth: int
    skipped: int

    own = None

    @staticmethod
    def of(constant: Constant, whole: Constant, place: int) -> Regrouped | None:
        """None where its weights aren't a leading block of the other's, or where that saves nothing."""
        windows, saved = constant.windows, constant.bytes - CALL_BYTES - STEP_BYTES
        if not windows or whole.windows != windows or whole.bytes < constant.bytes or saved < SMALLEST:
            return None
        mine, theirs = matrix_of(constant.values), matrix_of(whole.values)
        depth, wide = mine.shape[1] // windows, theirs.shape[1] // windows
        block = theirs.reshape(len(theirs), windows, wide)[: len(mine), :, :depth]
        if not np.array_equal(block, mine.reshape(len(mine), windows, depth)):
            return None
        shape = len(mine), windows, depth, wide - depth
        return Regrouped(constant, whole, place, *shape) if max(shape) < 1 << 16 else None

    @property
    def lent(self) -> Constant:
        return replace(self.constant, lent=(self.whole, 0))

    @property
    def helper(self) -> str:
        """The runtime function that puts it together."""
        return "tc_shared_groups"

    @property
    def table_bytes(self) -> int:
        return CALL_BYTES + STEP_BYTES

    @property
    def work(self) -> Work:
        weights = self.channels * self.windows
        return CALL + self.channels * TIME + weights * TIME + weights * self.depth * GROUP_TIME

    def lines(self, name: str, number: int) -> list[str]:
        """As of `Share`."""
        numbers = [f".{name} = {getattr(self, name)}" for name in ("channels", "windows", "depth", "skipped")]
        return [
            f"    static const tc_shared_groups_shape groups_{number} = {{{', '.join(numbers)}}};",
            f"    tc_shared_groups((int8_t *)scratch + {self.place}, {name}, &groups_{number});",
        ]


@dataclass(frozen=True)
class Share:
    """A constant of which `whole` has the pieces.

    Attributes:
        whole: None for one of which it has nothing, whose words are coded.
        place: of an array that is put together, in scratch; None for one that is read where it is.
    """

    constant: Constant
    whole: Constant | None
    pieces: Pieces
    place: int | None

    @property
    def lent(self) -> Constant | None:
        """The array as an argument: all of it, or from the element on where it is read."""
        if self.whole is None:
            return None
        first = 0
        if self.place is None:
            first = self.pieces.steps[0].skip * self.pieces.unit // self.constant.layout[1].itemsize
        return replace(self.constant, lent=(self.whole, first))

    @property
    def own(self) -> Constant | None:
        """What the other one doesn't have."""
        if self.place is None or not self.pieces.own.size:
            return None
        how = ", coded" if self.pieces.unit == 4 else ""
        comment = f"what the widest network hasn't{how}: {self.constant.comment}"
        return Constant(f"{self.constant.suffix}_own", "uint8_t", self.pieces.stored, comment)

    @property
    def saved(self) -> int:
        """Bytes of flash."""
        if self.place is None:
            return self.constant.bytes
        return self.constant.bytes - self.pieces.stored.nbytes - self.table_bytes

    @property
    def table_bytes(self) -> int:
        """Of its steps, and of the call that follows them."""
        return CALL_BYTES + STEP_BYTES * (1 + len(self.pieces.steps))

    @property
    def steps(self) -> str:
        """Of `tc_shared_step`, as an initialiser in C."""
        p = self.pieces
        order = f"TC_SHARED_ORDER({p.again}, {p.end}, {p.rounds}, {len(p.steps)})"
        steps = (f"{{{s.times}, {s.own}, {s.skip}, {s.run}}}" for s in p.steps)
        return f"{{{', '.join((order, *steps))}}}"

    @property
    def helper(self) -> str:
        """The runtime function that puts it together."""
        return f"tc_shared_{'words' if self.pieces.unit == 4 else 'bytes'}"

    @property
    def work(self) -> Work:
        """To put it together."""
        return Work(0, 0) if self.place is None else gather_work(self.pieces)

    def lines(self, name: str, number: int) -> list[str]:
        """The statements that put it together; none where it is read where it is."""
        if self.place is None:
            return []
        element = "uint32_t" if self.pieces.unit == 4 else "uint8_t"
        to, own = f"(uint8_t *)scratch + {self.place}", f"{name}_own" if self.own is not None else "0"
        to, shared = f"({element} *)(void *)({to})", f"(const {element} *)(const void *){name}" if self.whole else "0"
        return [
            f"    static const tc_shared_step steps_{number}[] = {self.steps};",
            f"    {self.helper}({to}, {shared}, {own}, steps_{number});",
        ]


def gather_work(pieces: Pieces) -> Work:
    """Of `tc_shared_words` or `tc_shared_bytes`."""
    found = CALL
    for step in pieces.executed:
        run = 20 + 5 * step.run // 4 if pieces.unit == 4 and step.run >= LONG else 4 * step.run
        each = TIME + step.own * (ELEMENT if pieces.unit == 4 else BYTE) + Work(run, run)
        found = found + STEP + step.times * each
    return found


def shared_kernel(kernel: Kernel, lender: Lender) -> Kernel | None:
    """The kernel with what a wider network has of its constants; None where that has nothing that is worth it."""
    if kernel.function is None or kernel.alias_of is not None or kernel.coding is not None:
        return None
    shares, at = list[Share | Regrouped | None](), _room(kernel.scratch_bytes)
    for constant in kernel.constants:
        share = share_of(constant, lender, at)
        shares.append(share)
        at += _room(constant.bytes) if share is not None and share.place is not None else 0
    found = [share for share in shares if share is not None]
    if not found:
        return None
    gathered = [share for share in found if share.place is not None]
    work = sum((share.work for share in gathered), Work(0, 0))
    size = at - _room(kernel.scratch_bytes)
    lent = [share for share in found if share.lent is not None]
    whole = sum(share.constant.bytes for share in lent)
    own = sum(share.own.bytes for share in lent if share.own is not None)
    how = f"put together in {size:,} bytes of RAM" if gathered else "read there"
    constants = [
        each
        for constant, share in zip(kernel.constants, shares, strict=True)
        for each in ((constant,) if share is None else (share.lent, share.own))
        if each is not None
    ]
    return replace(
        kernel,
        variant=f"{kernel.variant}_shared",
        function=_function(kernel, kernel.function, shares) if gathered else kernel.function,
        constants=tuple(constants),
        scratch_bytes=at if gathered else kernel.scratch_bytes,
        instructions=kernel.instructions + work.instructions,
        cycles=None if kernel.cycles is None else kernel.cycles + work.cycles,
        code_bytes=kernel.code_bytes + sum(share.table_bytes for share in gathered),
        code=_code(kernel.code, gathered),
        sweeps=Sweeps(1) if gathered else kernel.sweeps,
        notes={**kernel.notes, "weights": f"{whole - own:,} of {whole:,} bytes are the widest network's, {how}"},
    )


def _code(code: CodeSize | None, gathered: Sequence[Share | Regrouped]) -> CodeSize | None:
    """With the steps of what is put together, and what executes them."""
    if code is None or not gathered:
        return code
    kinds = {share.helper: LOOP_BYTES[share.helper] for share in gathered}
    return CodeSize(code.own + sum(share.table_bytes for share in gathered), {**code.shared, **kinds})


def share_of(constant: Constant, lender: Lender, at: int) -> Share | Regrouped | None:
    """Of one constant, to be put together at `at` unless it is one piece."""
    regrouped = (Regrouped.of(constant, whole, at) for whole in lender.constants)
    found = next(filter(None, regrouped), None) if constant.windows else None
    return found or _share_of(constant, lender, at)


def _share_of(constant: Constant, lender: Lender, at: int) -> Share | None:
    found = lender.part(constant)
    if found is None:
        coded = coded_alone(constant)
        share = Share(constant, None, coded, at) if coded is not None and coded.fits else None
        return share if share is not None and share.saved >= SMALLEST else None
    whole, pieces = found
    first = pieces.steps[0]
    is_piece = len(pieces.executed) == 1 and first.times == 1 and not pieces.own.size
    share = Share(constant, whole, pieces, None if is_piece and first.skip * pieces.unit % ALIGNED == 0 else at)
    return share if share.saved >= SMALLEST else None


def _room(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


def _function(kernel: Kernel, function: Function, shares: Sequence[Share | Regrouped | None]) -> Function:
    """Puts the constants together, then calls the kernel's own function."""
    given = function.parameters if kernel.scratch_bytes else (*function.parameters, "void *scratch")
    first = len(given) - 1 - len(kernel.constants)
    arguments, lines, parameters = names_of(function.parameters), list[str](), list(given[:first])
    for position, share in enumerate(shares, first):
        if share is None or share.lent is not None:
            parameters.append(given[position])
        if share is None or share.place is None:
            continue
        name = arguments[position]
        if share.own is not None:
            parameters.append(f"const {share.own.ctype} *{name}_own")
        lines += share.lines(name, position - first)
        arguments[position] = f"(const {share.constant.ctype} *)(const void *)((uint8_t *)scratch + {share.place})"
    return Function(
        f"shared_{function.stem}",
        (*parameters, given[-1]),
        "\n".join([*lines, f"    $0({', '.join(arguments)});"]) + "\n",
        HEADERS,
        "Puts constants together from the widest network's, then reads them in RAM.",
        callees=(function,),
    )
