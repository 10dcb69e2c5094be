"""objdump's lines of Armv8.1-M as instructions: what they are, which registers they read and write."""

from __future__ import annotations

import pytest

from tinycompile.profile.helium import instruction, is_new


@pytest.mark.parametrize(
    ("line", "name", "kind", "writes", "reads"),
    [
        ("vmlava.s8 r0, q1, q2", "vmlava", "mac", "r0", "r0 q1 q2"),
        ("vmladavx.s16 r0, q1, q2", "vmladavx", "mac", "r0", "q1 q2"),
        ("vmlalva.s16 r0, r1, q1, q2", "vmlalva", "mac", "r0 r1", "r0 r1 q1 q2"),
        ("vaddva.s32 r0, q1", "vaddva", "simd", "r0", "r0 q1"),
        ("vminv.s8 r0, q1", "vminv", "simd", "r0", "r0 q1"),
        ("vmulh.s32 q0, q1, q2", "vmulh", "mac", "q0", "q1 q2"),
        ("vqdmlash.s32 q0, q2, r3", "vqdmlash", "mac", "q0", "q0 q2 r3"),
        ("vmlat.s32 q0, q1, r2", "vmla", "mac", "q0", "q0 q1 r2 vpr"),  # predicated
        ("vmovlt.s16 q0, q1", "vmovlt", "simd", "q0", "q1"),  # the upper halves
        ("vqmovnt.s32 q0, q1", "vqmovnt", "simd", "q0", "q0 q1"),
        ("vsube.i32 q0, q1, q2", "vsub", "simd", "q0", "q0 q1 q2 vpr"),
        ("vshl.s32 q2, ip", "vshl", "simd", "q2", "q2 ip"),
        ("vshl.i32 q2, q1, #3", "vshl", "simd", "q2", "q1"),
        ("vshlc q0, r1, #5", "vshlc", "simd", "q0 r1", "q0 r1"),
        ("vidup.u16 q0, r2, #2", "vidup", "simd", "q0 r2", "q0 r2"),
        ("vmov q0[2], q0[0], r0, r4", "vmov", "simd", "q0", "q0 r0 r4"),
        ("vmov r0, r4, q0[2], q0[0]", "vmov", "simd", "r0 r4", "q0"),
        ("vmov.32 q1[2], r3", "vmov", "simd", "q1", "q1 r3"),
        ("vmov.i8 q1, #3", "vmov", "simd", "q1", ""),
        ("vcmp.s32 lt, q0, r9", "vcmp", "simd", "vpr", "q0 sb"),
        ("vpsel q0, q1, q2", "vpsel", "simd", "q0", "q1 q2 vpr"),
        ("vpstete ", "vpst", "other", "vpr", "vpr"),
        ("vpte.s32 lt, q0, zr", "vpt", "other", "vpr", "q0"),
        ("vctp.16 fp", "vctp", "other", "vpr", "fp"),
        ("vldrw.u32 q0, [r1, q5]", "vldrw", "load", "q0", "r1 q5"),
        ("vldrb.u8 q0, [r1], #16", "vldrb", "load", "q0 r1", "r1"),
        ("vldrbt.u8 q0, [r1, #-16]", "vldrb", "load", "q0", "q0 r1 vpr"),
        ("vld21.32 {q0, q1}, [r0]!", "vld21", "load", "q0 q1 r0", "q0 q1 r0"),
        ("vst43.8 {q0, q1, q2, q3}, [fp]!", "vst43", "store", "fp", "q0 q1 q2 q3 fp"),
        ("wlstp.8 lr, ip, 380003fe", "wlstp", "branch", "lr vpr", "ip"),
        ("le lr, 380003fe", "le", "branch", "lr", "lr"),
        ("csel r0, r1, r2, eq", "csel", "alu", "r0", "r1 r2 cpsr"),
        ("cset r0, lt", "cset", "alu", "r0", "cpsr"),
        ("asrl r0, r1, #3", "asrl", "alu", "r0 r1", "r0 r1"),
    ],
)
def test_operands(line: str, name: str, kind: str, writes: str, reads: str) -> None:
    mnemonic, operands = line.split(" ", 1)
    assert is_new(mnemonic, operands)
    found = instruction(mnemonic, operands)
    assert (found.name, found.kind, found.bytes) == (name, kind, 4)
    assert found.writes == set(writes.split()) and found.reads == set(reads.split())
    assert found.updates == (found.is_memory and bool(found.writes & found.address))
    assert found.jumps == (kind == "branch")


@pytest.mark.parametrize(
    "line", ["vadd.f32 s0, s1, s2", "vpush {d8-d15}", "ldr r0, [r1]", "bfi r0, r1, #2, #3", "cmp r0, r1"]
)
def test_what_capstone_knows(line: str) -> None:
    assert not is_new(*line.split(" ", 1))
