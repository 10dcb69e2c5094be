"""Estimated cycles of the Cortex-M85.

By LLVM's scheduling model of the core (ARMScheduleM85.td, which Arm wrote by its Software Optimization Guide, 107950)
and, where that says nothing, measurements on an RA8D1 (github.com/jnk0le/random, "pipeline cycle test",
doc/cortex_m85.md), for code and data in tightly coupled memory:

* Two instructions a cycle, in order: two ALUs, of which one shifts an operand first; one multiplier; two words
  loaded, two stored; one branch; one place for parallel arithmetic, saturation, floats and vectors, which begin one a
  cycle.
* Loads have results in the next cycle, those of bytes and halfwords after two; addresses are read a cycle early, what
  is stored a cycle late, accumulators of products a cycle late.
* A vector instruction takes its pipe for two cycles: load, store, A (integers and additions of floats), B
  (multiplications), C (comparisons); logic and moves take A or B. It ends the pair, so a scalar begins before it or
  with the next. Results to general registers come after three or four cycles.
* Branches are predicted: a right one costs its place and ends the pair. A wrong one costs 7 cycles (measured: 7 to
  12). LE costs nothing. Its loops aren't predicted wrongly where they are nested (measured).
* LDM and STM move two words a cycle and begin alone.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tinycompile.profile.in_order import Core, InOrder, Issue
from tinycompile.profile.instructions import BITS, EXTENDS, FLAGS, REVERSES, SHIFTS, Instruction

MISPREDICTION = 7
"""Cycles that a wrongly predicted branch costs."""

UNITS = {
    "alu": 2, "shift": 1, "mac": 1, "load": 2, "store": 2, "branch": 1, "simd": 1, "slot": 1, "long": 1,
    "a": 2, "b": 2, "c": 2, "d": 1, "port": 2,
}  # fmt: skip
"""`a` to `d` are halves of the pipes of floats and vectors, `port` those of their registers; one begins in a cycle."""

_LOGIC = re.compile(r"v(and|bic|orr|orn|eor|mvn|rev(16|32|64)|psel|cl[sz])$")
_SLOW_A = re.compile(r"v(q?rshl|qshl|rshr|q?movu?n|q?r?shru?n|shlc|[di]w?dup)")
_FAST_NARROW = re.compile(r"v(movn|shrn)[bt]$")


@lru_cache(maxsize=1 << 14)
def issue_of(i: Instruction) -> Issue:
    """By kind and name."""
    if i.vector:
        return _vector_memory(i) if i.is_memory else _vector(i)
    if i.name in ("le", "letp"):
        return Issue((), free=True)
    if i.is_memory:
        return _memory(i)
    if i.name == "it":
        return Issue(())
    if i.kind == "branch":
        table = i.name in ("tbb", "tbh")
        return Issue(("alu",) if i.name[:3] in ("dls", "wls") else ("branch",), 1, alone=table)
    if i.is_float:
        return _float(i)
    if i.kind == "other":
        return Issue((), 3, alone=i.name not in ("nop", "pld", "unknown"), free=i.name == "nop")
    if i.kind == "mac":
        return Issue(("mac",), 2, late=i.accumulator)
    return _integer(i)


def _integer(i: Instruction) -> Issue:
    name = i.name
    if name in ("sdiv", "udiv"):
        return Issue(("alu",), alone=True, cycles=7)
    if i.kind == "simd" or EXTENDS.match(name):
        if name.startswith(("pkh", "sxta", "uxta")):
            return Issue(("simd", "alu", "shift", "slot"), early=i.shifted)
        return Issue(("simd", "alu", "slot"), 2 if name.startswith(("q", "uq", "usad")) else 1)
    if name.startswith(("ssat", "usat", "qd")):
        return Issue(("simd", "alu", "shift", "slot"), 2, early=i.reads - {FLAGS})
    if name in ("bfi", "bfc", "clz") or name.startswith("q"):
        units = (
            ("alu", "slot")
            if name == "clz"
            else ("alu", "shift", "slot")
            if name[0] == "b"
            else ("simd", "alu", "slot")
        )
        return Issue(units, 2 if name[0] == "q" else 1)
    if name.startswith(("cs", "ci", "cn")) or re.match(r"asrl|lsll|lsrl|[su]q?r?sh[lr]l?$", name):
        return Issue(("long", "alu"), 2, late=i.reads - {FLAGS})
    if i.shifted:
        return Issue(("alu", "shift"), 2 if name in ("cmp", "cmn", "tst", "teq") else 1, early=i.shifted)
    if name in SHIFTS or REVERSES.match(name) or BITS.match(name):
        return Issue(("alu",))
    return Issue(("alu",))


def _memory(i: Instruction) -> Issue:
    several = i.name.startswith(("ldm", "stm", "pop", "push", "vldm", "vstm", "vpush", "vpop"))
    both = 2 if i.words > 1 else 1
    cycles = max((i.words + 1) // 2, 1) if several else 1
    unit = ("load" if i.kind == "load" else "store",) * both
    ports = ("port",) * both if i.is_float else ()
    if i.kind == "store":
        late = i.reads - i.address - {FLAGS}
        return Issue(
            unit + ports, early=i.address, late=late, later=2 if i.is_float else 1, alone=several, cycles=cycles
        )
    narrow = re.match(r"ldrs?[bh]", i.name) is not None
    return Issue(unit + ports, 2 if narrow else 1, early=i.address, alone=several, cycles=cycles)


def _vector_memory(i: Instruction) -> Issue:
    vectors = frozenset(register for register in i.address if register[0] == "q")
    pipe, ports = ("load" if i.kind == "load" else "store",) * 2, ("port",) * 2
    if i.kind == "store":
        late = i.reads - i.address
        return Issue(ports, early=i.address, late=late, later=2, base=1, alone=bool(vectors), ends=True, held=pipe)
    interleaved = i.name[3].isdigit()
    return Issue(ports, 4 if interleaved else 1, early=i.address, base=1, alone=bool(vectors), ends=True, held=pipe)


def _vector(i: Instruction) -> Issue:
    is_float = ".f" in i.text.split()[0]
    scalars = frozenset(register for register in i.reads if register[0] != "q")
    to_core = any(register[0] not in "qv" for register in i.writes)
    ports = ("port", "port", "slot")
    if i.name in ("vctp", "vpst", "vpnot"):
        return Issue(ports, late=scalars, ends=True, held=("d",))
    if i.name == "vmov" or _LOGIC.match(i.name):
        return Issue(ports, 4 if to_core else 1, late=scalars, ends=True)
    if i.name in ("vcmp", "vpt"):
        return Issue(ports, late=scalars, ends=True, held=("c", "c"))
    if to_core:
        pipe = "a" if re.match(r"v(min|max|abav)|vaddv$", i.name) else "b"
        return Issue(ports, 4, late=i.accumulator, later=2, ends=True, held=(pipe, pipe))
    if i.kind == "mac":
        late = i.accumulator if is_float else scalars
        latency = 4 if is_float and i.accumulator else 3 if is_float else 2
        return Issue(ports, latency, late=late, later=2 if i.accumulator else 1, ends=True, held=("b", "b"))
    if is_float and i.name in ("vabs", "vneg", "vmaxnm", "vminnm", "vcvt", "vrint"):
        return Issue(ports, 2 if i.name in ("vcvt", "vrint") else 1, ends=True, held=("b", "b"))
    slow = is_float or (_SLOW_A.match(i.name) and not _FAST_NARROW.match(i.name))
    return Issue(ports, 2 if slow else 1, late=scalars, ends=True, held=("a", "a"))


def _float(i: Instruction) -> Issue:
    both = 2 if i.is_double else 1
    ports = ("port",) * both + ("slot",)
    if i.name in ("vdiv", "vsqrt"):
        return Issue(("b",) * both + ports, 2, cycles=29 if i.is_double else 14)
    if i.name in ("vmov", "vmrs", "fmstat", "vmsr"):
        to_core = bool(i.writes) and not any(register[0] in "sd" for register in i.writes)
        return Issue(ports, 2 if to_core else 1, late=frozenset() if to_core else i.reads, alone=i.name != "vmov")
    if i.accumulator:
        fused = i.name.startswith("vf")
        latency = (4 if fused else 5) if both == 1 else 14
        return Issue(("b",) * both + ports, latency, late=i.accumulator, later=2 if fused else 3)
    if i.kind == "mac" or i.name in ("vcvt", "vrint"):
        return Issue(("b",) * both + ports, (3 if both == 1 else 8) if i.kind == "mac" else 2)
    if i.name == "vcmp":
        return Issue(("c",) * both + ports)
    return Issue(("a",) * both + ports, 2 if both == 1 else 6)


def _pairs(first: Instruction, second: Instruction) -> bool:
    """Words of different banks of memory: four, a word each."""
    if first.kind == second.kind == "load" and first.base == second.base:
        return not first.base or ((first.offset ^ second.offset) & 12) != 0
    return True


CORTEX_M85 = InOrder(Core("cortex-m85", UNITS, issue_of, _pairs, mispredicted=MISPREDICTION))
