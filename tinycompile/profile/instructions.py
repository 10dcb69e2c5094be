"""Machine code to instructions: what kind each is, which registers it reads and writes. Decoded by Capstone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinycompile.errors import ToolMissingError

KINDS = ("mac", "load", "store", "simd", "alu", "branch", "other")
"""Of an instruction mix. mac: multiplications, with and without accumulation; simd: parallel arithmetic on bytes and
halfwords; other: IT, barriers, system registers, and what can't be decoded."""

FLAGS = "cpsr"

_MAC = re.compile(r"[su]?m(ul|la|ls)|sm|[su]mull|umaal|vn?ml[as]|vfn?m[as]|vn?mul|vmul")
_SIMD = re.compile(r"([su]|[su]h|u?q)(add|sub)(8|16)$|([su]|[su]h|u?q)(asx|sax)$|[su]xta?b16|pkh|[su]sat16|sel$|usad")
EXTENDS = re.compile(r"[su]xta?[bh]")
REVERSES = re.compile(r"rev|rbit")
BITS = re.compile(r"[su]bfx|bfi|bfc|[su]sat|clz|q(add|sub|dadd|dsub)$")
SHIFTS = frozenset({"lsl", "lsr", "asr", "ror", "rrx"})

_BRANCHES = {"b", "bl", "bx", "blx", "cbz", "cbnz", "tbb", "tbh"}
_OTHER = frozenset(
    "it nop hint yield wfi wfe sev dmb dsb isb mrs msr bkpt svc cps udf cpsid cpsie vmsr pld pli".split()
)
_LONG = re.compile(r"[su]ml[as]l|[su]mull|umaal")
_READS_FIRST = re.compile(r"cmp|cmn|tst|teq|vcmp|bfi|bfc|movt|vn?ml[as]|vfn?m[as]")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: without condition, width and data type ("ldr", "smlad", "vmla").
        words: how many a load or store transfers.
        reads, writes: register names, with "cpsr" for the flags.
        address: of `reads`, those that make a load's or store's address.
        shifted: of `reads`, the operand that goes through the barrel shifter first.
        accumulator: of `reads`, what a multiply-accumulate adds to, or an extension that adds.
        updates: a load or store that writes the address back to its register.
        base, offset: of an address [base, #offset]; "" where it has an index register.
        jumps: the next instruction may be elsewhere.
        conditional: executed or not, by the flags.
        vector: of Helium.
    """

    name: str
    text: str
    kind: str
    bytes: int
    words: int = 0
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    address: frozenset[str] = frozenset()
    shifted: frozenset[str] = frozenset()
    accumulator: frozenset[str] = frozenset()
    updates: bool = False
    base: str = ""
    offset: int = 0
    jumps: bool = False
    conditional: bool = False
    decoded: bool = True
    vector: bool = False

    @property
    def is_float(self) -> bool:
        return self.name.startswith(("v", "f"))  # the older names begin with f: fmstat, fconsts

    @property
    def is_double(self) -> bool:
        return self.is_float and any(r[0] == "d" and r[1:].isdigit() for r in self.reads | self.writes)

    @property
    def results(self) -> frozenset[str]:
        """What it writes, but for an address."""
        return self.writes - self.address if self.updates else self.writes

    @property
    def sets_flags(self) -> bool:
        return FLAGS in self.writes

    @property
    def has_constant(self) -> bool:
        """Of two operands, the second is a number."""
        return "#" in self.text

    @property
    def is_memory(self) -> bool:
        return self.kind in ("load", "store")


class Decoder:
    """Thumb code of the M profile.

    Args:
        known: by address, instructions of four bytes that Capstone doesn't know (`helium.py`).

    Raises:
        ToolMissingError: Capstone isn't installed.
    """

    def __init__(self, known: Mapping[int, Instruction] | None = None) -> None:
        self._known = known or {}
        try:
            import capstone  # pyright: ignore[reportMissingTypeStubs] - it has none
        except ImportError as error:
            raise ToolMissingError(
                "the disassembler is not installed",
                why="profile tells apart kinds of instructions with Capstone",
                hint="pip install 'tinycompile[profile]'",
            ) from error
        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
        self._engines: list[Any] = [
            capstone.Cs(capstone.CS_ARCH_ARM, mode),
            capstone.Cs(capstone.CS_ARCH_ARM, mode | capstone.CS_MODE_V8),
        ]
        for engine in self._engines:
            engine.detail = True
        self._constants = capstone.arm

    def block(self, code: bytes, address: int) -> tuple[Instruction, ...]:
        """Every instruction of a block; what Capstone doesn't know becomes one of kind "other"."""
        found, begin = list[Instruction](), 0
        for offset in range(0, len(code), 2):
            if (instruction := self._known.get(address + offset)) is not None:
                found += (*self._decoded(code[begin:offset], address + begin), instruction)
                begin = offset + instruction.bytes
        return (*found, *self._decoded(code[begin:], address + begin))

    def _decoded(self, code: bytes, address: int) -> Iterator[Instruction]:
        offset = 0
        while offset < len(code):
            known = list(self._engines[0].disasm(code[offset:], address + offset))
            known = known or list(self._engines[1].disasm(code[offset : offset + 4], address + offset, 1))
            for raw in known:
                yield self._instruction(raw)
                offset += raw.size
            if not known:
                size = 4 if code[offset + 1] >> 3 >= 0b11101 else 2
                yield Instruction("unknown", code[offset : offset + size].hex(), "other", size, decoded=False)
                offset += size

    def _instruction(self, raw: Any) -> Instruction:
        arm, name = self._constants, str(raw.insn_name())
        operands = raw.operands
        registers = [raw.reg_name(o.reg) if o.type == arm.ARM_OP_REG else "" for o in operands]
        reads, writes = ({str(raw.reg_name(r)) for r in found} for found in raw.regs_access())
        conditional = raw.cc not in (arm.ARM_CC_AL, arm.ARM_CC_INVALID) and name != "it"
        kind = _kind(name)
        jumps = kind == "branch" or "pc" in writes or registers[:1] == ["pc"]
        if conditional:
            reads.add(FLAGS)
        if raw.update_flags or name == "fmstat":
            writes.add(FLAGS)
        if kind in ("mac", "simd", "alu"):  # Capstone leaves out some operands, above all shifted ones
            results = 2 if _LONG.match(name) else 1
            reads |= {r for r in registers[0 if _READS_FIRST.match(name) else results :] if r}
        memory = next((o.mem for o in operands if o.type == arm.ARM_OP_MEM), None)
        address, base, offset = set[str](), "", 0
        if memory is not None:
            address = {str(raw.reg_name(r)) for r in (memory.base, memory.index) if r}
            if not memory.index:
                base, offset = str(raw.reg_name(memory.base)), int(memory.disp)
        elif kind in ("load", "store"):
            address, writes, reads = _multiple(name, kind, registers, writes, reads)
        shifted = {r for r, o in zip(registers, operands, strict=True) if r and o.shift.type != arm.ARM_SFT_INVALID}
        accumulator = _accumulator(name, registers) if kind == "mac" or "xta" in name else set[str]()
        return Instruction(
            name=name,
            text=f"{raw.mnemonic} {raw.op_str}".strip(),
            kind=kind,
            bytes=raw.size,
            words=_words(name, kind, registers),
            reads=frozenset(reads | accumulator) - {"pc"},
            writes=frozenset(writes) - {"pc", "itstate"},
            address=frozenset(address) - {"pc"},
            shifted=frozenset(shifted),
            accumulator=frozenset(accumulator),
            updates=bool(raw.writeback) or name.endswith(("push", "pop")),
            base=base,
            offset=offset,
            jumps=jumps,
            conditional=conditional,
        )


def _kind(name: str) -> str:
    if name in _BRANCHES:
        return "branch"
    if name in _OTHER:
        return "other"
    if re.match(r"v?ld|pop|vpop", name):
        return "load"
    if re.match(r"v?st|push|vpush", name):
        return "store"
    if _SIMD.match(name):
        return "simd"
    return "mac" if _MAC.match(name) else "alu"


def _accumulator(name: str, registers: Sequence[str]) -> set[str]:
    """What a multiplication adds its product to, or an extension what it extends."""
    if "xta" in name:
        return {registers[1]} - {registers[2]}
    if _LONG.match(name):
        return set() if "mul" in name else set(registers[:2])
    if re.match(r"v(n?ml|fn?m)", name):
        return {registers[0]}
    return {registers[3]} - {registers[1], registers[2]} if len(registers) == 4 else set()


def _words(name: str, kind: str, registers: Sequence[str]) -> int:
    """Words that are transferred."""
    if kind not in ("load", "store"):
        return 0
    if name.startswith(("ldm", "stm", "vldm", "vstm")):
        registers = registers[1:]
    elif name.startswith(("ldr", "str")):
        return 2 if name.startswith(("ldrd", "strd")) else 1
    return sum(2 if register.startswith("d") else 1 for register in registers if register)


def _multiple(
    name: str, kind: str, registers: Sequence[str], writes: set[str], reads: set[str]
) -> tuple[set[str], set[str], set[str]]:
    """(address, writes, reads) of a load or store of several registers."""
    stacked = name.endswith(("push", "pop"))
    base, listed = ("sp", registers) if stacked else (registers[0], registers[1:])
    transferred = {r for r in listed if r}
    if kind == "load":
        return (
            {base},
            (writes - {base}) | transferred | ({base} if stacked or base in writes else set()),
            reads | {base},
        )
    return {base}, {base} if stacked or base in writes else set(), reads | transferred | {base}
