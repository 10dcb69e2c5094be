"""Estimated cycles of the cores that issue one instruction at a time: Cortex-M0, M0+, M3, M4.

By the tables of instruction timings in their Technical Reference Manuals (M4: Arm 100166, section 3.3; M3: Arm 100165;
M0+: DDI 0484; M0: DDI 0432), for code and data without wait states. Where a manual gives a range, the value is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinycompile.profile.instructions import FLAGS, Instruction


@dataclass(frozen=True)
class SingleIssue:
    """A core's timings, in cycles.

    Attributes:
        refill: that a taken branch adds (M3, M4: the manual says 1 to 3). call: more for BL. pop_pc: more for POP {pc}.
        system: of MSR, MRS and barriers.
        multiply_add, long_multiply, long_multiply_add: MLA and MLS; UMULL and SMULL; UMLAL and SMLAL.
        divide: SDIV and UDIV (the manual: 2 to 12).
        pipelined: a load or store costs one cycle less after a load whose result isn't its address.
        address_stall: of a load or store whose address the instruction before has computed.
    """

    name: str
    refill: int
    call: int = 0
    system: int = 2
    multiply_add: int = 1
    long_multiply: int = 1
    long_multiply_add: int = 1
    divide: int = 7
    pipelined: bool = True
    address_stall: int = 1
    pop_pc: int = 0

    def cycles(self, before: Sequence[Instruction], block: Sequence[Instruction], taken: bool) -> float:
        """Of a block.

        Args:
            before: the block that ran before it. taken: whether that ended in a branch to this one.
        """
        total, last = 0, None if taken or not before else before[-1]
        for instruction in block:
            total += self._one(instruction, last)
            last = instruction
        if taken and before:
            total += self._refill(before[-1])
        return float(total)

    def mispredicted(self) -> float:
        """These cores don't predict branches."""
        return 0.0

    def _refill(self, branch: Instruction) -> int:
        if branch.name in ("bl", "blx"):
            return self.refill + self.call
        return self.refill + (self.pop_pc if branch.kind == "load" else 0)

    def _one(self, i: Instruction, last: Instruction | None) -> int:
        if i.is_memory:
            return self._memory(i, last)
        if i.is_float:
            return _float(i) + (1 if last is not None and last.is_float and (last.writes - {FLAGS}) & i.reads else 0)
        if i.kind == "mac":
            return self._multiply(i)
        if i.name in ("sdiv", "udiv"):
            return self.divide
        if i.name in ("tbb", "tbh"):
            return 2
        return self.system if i.name in ("mrs", "msr", "dmb", "dsb", "isb") else 1

    def _memory(self, i: Instruction, last: Instruction | None) -> int:
        computed = last is not None and last.kind in ("alu", "simd", "mac") and last.writes & i.address
        stall = self.address_stall if computed else 0
        if i.words > 1 or i.name.startswith(("ldm", "stm", "pop", "push", "vldm", "vstm")):
            return 1 + i.words + stall
        if i.kind == "store" and i.base and self.pipelined:
            return 1 + stall
        follows = last is not None and last.kind == "load" and last.words == 1 and not last.results & i.address
        return 2 + stall - (1 if self.pipelined and follows else 0)

    def _multiply(self, i: Instruction) -> int:
        if i.name in ("umull", "smull"):
            return self.long_multiply
        if i.name in ("umlal", "smlal"):
            return self.long_multiply_add
        return self.multiply_add if i.name in ("mla", "mls") else 1


def _float(i: Instruction) -> int:
    """Single precision: the FPU of the M4."""
    if i.name in ("vdiv", "vsqrt"):
        return 14
    if i.kind == "mac" and "mul" not in i.name:
        return 3
    if i.name == "vmov":
        return max(1, len(i.writes))
    return 1


CORTEX_M0 = SingleIssue("cortex-m0", refill=2, call=1, system=4, pipelined=False, address_stall=0, pop_pc=1)
CORTEX_M0PLUS = SingleIssue("cortex-m0plus", refill=1, call=1, system=3, pipelined=False, address_stall=0, pop_pc=1)
CORTEX_M3 = SingleIssue("cortex-m3", refill=2, multiply_add=2, long_multiply=4, long_multiply_add=5)
CORTEX_M4 = SingleIssue("cortex-m4", refill=2)
