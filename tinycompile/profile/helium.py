"""Instructions of Armv8.1-M that Capstone 5 can't decode: Helium, loops without overhead, conditional selections.

GNU objdump prints them; this reads its text. Without `-m armv8.1-m.main` objdump takes the vectors' encodings for those
of a coprocessor, whatever the ELF's attributes say.

What instructions do with their operands is in the Armv8-M Architecture Reference Manual (DDI 0553), section C2.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tinycompile.profile.instructions import Instruction
from tinycompile.targets import Toolchain
from tinycompile.toolchain import require, run

PREDICATE = "vpr"
"""Of vectors: VPST, VPT, VCMP and VCTP write it; what they predicate and VPSEL read it."""

_NAMES = {"r9": "sb", "r10": "sl", "r11": "fp", "r12": "ip", "r13": "sp", "r14": "lr"}
_LINE = re.compile(r"\s*([0-9a-f]+):\t([a-z][\w.]*)(?:\t([^@;]*))?")
_LOOPS = ("le", "letp", "wls", "wlstp", "dls", "dlstp", "lctp")
_SCALAR = re.compile(
    r"cs(el|inc|inv|neg)$|cset|csetm$|c(inc|inv|neg)$|asrl$|lsll$|lsrl$|[su]q?r?sh[lr]l?$|clrm$|bf(x|l|lx|csel)?$"
)
_LONG_SHIFT = re.compile(r"asrl|lsll|lsrl|[su]q?r?sh[lr]l$")
_VECTOR = re.compile(r"\bq\d\b|\bvpr\b")
_NATIVE_T = re.compile(r"v(movl|q?movu?n|shll|q?r?shru?n|q?d?mull|mull|cvt)t$")
_PREDICATED = re.compile(r"v\w{2,}[te]$")
"""Names that end in t or e: in a block after VPST or VPT, but for those of the upper half of the lanes."""
_SELECTORS = re.compile(r"vps?t[te]{0,3}$|vctp$|vpnot$")
_MULTIPLIES = re.compile(r"v(q?r?d?mul|q?r?d?ml[as]|cm(ul|la)|fm[as])")
_ACCUMULATES = re.compile(r"v(\w*vh?ax?|fm[as]s?|mlas?|q?r?dml[as]\w*|cmla)$")
_KEEPS = re.compile(r"v(q?movu?n|q?r?shru?n)[bt]$|vs[lr]i$|vabav$|v(min|max)(nm)?a?v$|v[di]w?dup$|vshlc$")
"""Read what they write: the other half of the lanes, the bits that aren't shifted in, the least so far, a counter."""
_MEMORY = re.compile(r"v(ld|st)(r[bhwd]|[24]\d)$")


def instructions_of(elf: Path, toolchain: Toolchain) -> Mapping[int, Instruction]:
    """By address, those of a firmware's instructions that Armv8.1-M brought.

    Raises:
        ToolMissingError, ToolFailedError: objdump.
    """
    command = [require(toolchain.tool("objdump"), toolchain), "-m", "armv8.1-m.main", "-d", "--no-show-raw-insn"]
    found = dict[int, Instruction]()
    for line in run([*command, str(elf.resolve())], cwd=elf.parent).splitlines():
        if (match := _LINE.match(line)) and is_new(match[2], match[3] or ""):
            found[int(match[1], 16)] = instruction(match[2], re.sub(r"\s*<.*", "", match[3] or "").strip())
    return found


def is_new(mnemonic: str, operands: str) -> bool:
    """Whether Armv8.1-M brought an instruction."""
    name = mnemonic.split(".")[0]
    if name in _LOOPS or _SCALAR.match(name) or _SELECTORS.match(name):
        return True
    return name.startswith("v") and _VECTOR.search(operands) is not None


def instruction(mnemonic: str, operands: str) -> Instruction:
    """One of objdump's lines, e.g. ("vmladava.s8", "r0, q1, q2")."""
    name = mnemonic.split(".")[0]
    text = f"{mnemonic} {operands}".strip()
    if name in _LOOPS:
        return _loop(name, text, _registers(operands))
    if _SELECTORS.match(name):
        found = frozenset(_registers(operands))
        kept = frozenset({PREDICATE}) if name[:4] in ("vpno", "vpst") else frozenset[str]()
        short = "vpst" if name.startswith("vps") else name if name in ("vctp", "vpnot") else "vpt"
        return Instruction(short, text, "other", 4, reads=found | kept, writes=frozenset({PREDICATE}), vector=True)
    if not name.startswith("v"):
        return _scalar(name, text, _registers(operands))
    predicated = _PREDICATED.match(name) is not None and not _NATIVE_T.match(name)
    if predicated:
        name = name[:-1]
    extra = frozenset({PREDICATE}) if predicated or name == "vpsel" else frozenset[str]()
    if _MEMORY.match(name):
        return _memory(name, text, operands, extra)
    return _arithmetic(name, text, operands, extra)


def _registers(operands: str) -> list[str]:
    """By Capstone's names."""
    found: list[str] = re.findall(r"\b(?:[rq]\d+|ip|fp|sl|sb|sp|lr)\b", operands)
    return [_NAMES.get(register, register) for register in found]


def _loop(name: str, text: str, registers: list[str]) -> Instruction:
    begins = name[:3] in ("dls", "wls")
    reads = registers[1:] if begins else registers
    writes = registers[:1] + ([PREDICATE] if name.endswith("tp") else [])
    jumps = name[:2] == "le" or name.startswith("wls")
    kind = "other" if name == "lctp" else "branch"
    return Instruction(name, text, kind, 4, reads=frozenset(reads), writes=frozenset(writes), jumps=jumps)


def _scalar(name: str, text: str, registers: list[str]) -> Instruction:
    if name == "clrm":
        return Instruction(name, text, "alu", 4, writes=frozenset(registers))
    if name.startswith("bf"):
        return Instruction(name, text, "branch", 4, reads=frozenset(registers))
    results = 2 if _LONG_SHIFT.match(name) else 1
    shifts = name[0] in "alsu"
    reads = registers if shifts else [*registers[1:], "cpsr"]
    return Instruction(name, text, "alu", 4, reads=frozenset(reads), writes=frozenset(registers[:results]))


def _memory(name: str, text: str, operands: str, extra: frozenset[str]) -> Instruction:
    vectors, _, address = operands.partition("[")
    data = frozenset(re.findall(r"q\d", vectors))
    places = frozenset(_registers(address))
    updated = (
        frozenset(_registers(address)[:1]) if "!" in address or re.search(r"\]\s*,", address) else frozenset[str]()
    )
    kind = "load" if name.startswith("vld") else "store"
    interleaved = name[3].isdigit()
    reads = places | extra | (data if kind == "store" or extra or interleaved else frozenset[str]())
    writes = updated | (data if kind == "load" else frozenset[str]())
    offset = re.match(r"(\w+)(?:\s*,\s*#(-?\d+))?\s*\]\s*$", address)
    return Instruction(
        name, text, kind, 4, words=4, reads=reads, writes=writes, address=places, updates=bool(updated),
        base=_registers(offset[1])[0] if offset else "", offset=int(offset[2] or 0) if offset else 0, vector=True,
    )  # fmt: skip


def _arithmetic(name: str, text: str, operands: str, extra: frozenset[str]) -> Instruction:
    registers = _registers(operands)
    kind = "mac" if _MULTIPLIES.match(name) else "simd"
    if name == "vcmp":
        return Instruction(
            name, text, kind, 4, reads=frozenset(registers) | extra, writes=frozenset({PREDICATE}), vector=True
        )
    vectors = [index for index, register in enumerate(registers) if register[0] == "q"]
    results = 2 if re.match(r"v[di]w?dup$|vshlc$", name) else max(vectors[0], 1)
    lane = name == "vmov" and re.match(r"q\d\[", operands) is not None
    by_scalar = name.endswith("shl") and len(registers) == 2 and "#" not in operands
    merges = (extra and name != "vpsel") or lane or by_scalar or _KEEPS.match(name)
    kept = registers[:results] if merges else []
    accumulator = registers[:results] if _ACCUMULATES.match(name) else []
    return Instruction(
        name, text, kind, 4,
        reads=frozenset([*registers[results:], *accumulator, *kept]) | extra,
        writes=frozenset(registers[:results]), accumulator=frozenset(accumulator), vector=True,
    )  # fmt: skip
