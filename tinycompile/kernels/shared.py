"""A kernel whose constants are pieces of a wider network's: read where they are, or put together in scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinycompile.kernels.array_pieces import STEP_BYTES, Lender, Pieces
from tinycompile.kernels.base import CodeSize, Constant, Function, Kernel, Sweeps
from tinycompile.kernels.generic_c import names_of
from tinycompile.kernels.work import Work

HEADERS = ("kernels/tc_shared.h",)

SMALLEST = 32
"""Bytes of an array's that are worth a call, with its steps."""

CALL_BYTES = 60
"""Of code and of the shape: a call, and the function that makes it."""

LOOP_BYTES = 520
"""Of code: `tc_shared_words` or `tc_shared_bytes`."""

LONG = 8
"""Words of a run that `tc_copy_words` copies."""

ALIGNED = 8
"""Bytes at a multiple of which kernels expect their arrays."""

CALL, STEP, TIME, ELEMENT, BYTE = Work(80, 80), Work(16, 16), Work(36, 36), Work(16, 16), Work(4, 4)
"""Of a call, of a step, of each time that it is executed, of a coded word, of a byte; counted from the assembly."""


@dataclass(frozen=True)
class Share:
    """A constant of which `whole` has the pieces.

    Attributes:
        place: of an array that is put together, in scratch; None for one that is read where it is.
    """

    constant: Constant
    whole: Constant
    pieces: Pieces
    place: int | None

    @property
    def lent(self) -> Constant:
        """The array as an argument: all of it, or from the element on where it is read."""
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
    def work(self) -> Work:
        """To put it together."""
        return Work(0, 0) if self.place is None else gather_work(self.pieces)

    def lines(self, name: str, number: int) -> list[str]:
        """The statements that put it together; none where it is read where it is."""
        if self.place is None:
            return []
        kind, element = ("words", "uint32_t") if self.pieces.unit == 4 else ("bytes", "uint8_t")
        to, own = f"(uint8_t *)scratch + {self.place}", f"{name}_own" if self.own is not None else "0"
        to, shared = f"({element} *)(void *)({to})", f"(const {element} *)(const void *){name}"
        return [
            f"    static const tc_shared_step steps_{number}[] = {self.steps};",
            f"    tc_shared_{kind}({to}, {shared}, {own}, steps_{number});",
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
    shares, at = list[Share | None](), _room(kernel.scratch_bytes)
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
    whole = sum(share.constant.bytes for share in found)
    own = sum(share.own.bytes for share in found if share.own is not None)
    how = f"put together in {size:,} bytes of RAM" if gathered else "read there"
    constants = [
        each
        for constant, share in zip(kernel.constants, shares, strict=True)
        for each in ((constant,) if share is None else (share.lent, *([share.own] if share.own else [])))
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


def _code(code: CodeSize | None, gathered: Sequence[Share]) -> CodeSize | None:
    """With the steps of what is put together, and what executes them."""
    if code is None or not gathered:
        return code
    kinds = {f"tc_shared_{'words' if share.pieces.unit == 4 else 'bytes'}": LOOP_BYTES for share in gathered}
    return CodeSize(code.own + sum(share.table_bytes for share in gathered), {**code.shared, **kinds})


def share_of(constant: Constant, lender: Lender, at: int) -> Share | None:
    """Of one constant, to be put together at `at` unless it is one piece."""
    found = lender.part(constant)
    if found is None:
        return None
    whole, pieces = found
    first = pieces.steps[0]
    is_piece = len(pieces.executed) == 1 and first.times == 1 and not pieces.own.size
    share = Share(constant, whole, pieces, None if is_piece and first.skip * pieces.unit % ALIGNED == 0 else at)
    return share if share.saved >= SMALLEST else None


def _room(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


def _function(kernel: Kernel, function: Function, shares: Sequence[Share | None]) -> Function:
    """Puts the constants together, then calls the kernel's own function."""
    given = function.parameters if kernel.scratch_bytes else (*function.parameters, "void *scratch")
    first = len(given) - 1 - len(kernel.constants)
    arguments, lines, parameters = names_of(function.parameters), list[str](), list(given[:first])
    for position, share in enumerate(shares, first):
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
