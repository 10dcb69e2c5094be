"""Kinds of instructions, and cycles of short sequences as the manuals and measurements on silicon have them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from benchmarks.cycle_models import ResultsInOrder
from tinycompile.profile.cortex_m7 import CORTEX_M7
from tinycompile.profile.cortex_m33 import CORTEX_M33
from tinycompile.profile.cortex_m55 import CORTEX_M55
from tinycompile.profile.cortex_m85 import CORTEX_M85
from tinycompile.profile.helium import instructions_of
from tinycompile.profile.in_order import InOrder
from tinycompile.profile.instructions import Decoder, Instruction
from tinycompile.profile.single_issue import CORTEX_M0PLUS, CORTEX_M3, CORTEX_M4
from tinycompile.targets.toolchain import load_toolchain

FLAGS = {"cortex-m55": [], "cortex-m33": ["-mfpu=fpv5-sp-d16"], "cortex-m3": ["-mfloat-abi=soft"]}
"""Of the assembler; the others have a double FPU."""


@pytest.fixture(scope="module")
def decode(tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("capstone", reason="profile needs Capstone")

    def decoded(*lines: str, core: str = "cortex-m7") -> tuple[Instruction, ...]:
        folder: Path = tmp_path_factory.mktemp("code")
        (folder / "a.s").write_text(".syntax unified\n.thumb\n" + "\n".join(lines) + "\n")
        flags = ["-mthumb", "-mfloat-abi=hard", *FLAGS.get(core, ["-mfpu=fpv5-d16"])]
        subprocess.run(["arm-none-eabi-gcc", f"-mcpu={core}", *flags, "-c", "a.s", "-o", "a.o"], cwd=folder, check=True)
        copy = ["arm-none-eabi-objcopy", "-O", "binary", "-j", ".text", "a.o", "a.bin"]
        subprocess.run(copy, cwd=folder, check=True)
        known = instructions_of(folder / "a.o", load_toolchain("arm-none-eabi")) if core == "cortex-m55" else None
        return Decoder(known).block((folder / "a.bin").read_bytes(), 0)

    return decoded


def blocks_of(decode, codes: Sequence[str], core: str) -> list[tuple[Instruction, ...]]:
    """Several blocks, lines of which end at semicolons, assembled at once."""
    found = [list[Instruction]()]
    for each in decode(*(f"{code.replace(';', chr(10))}\nbkpt" for code in codes), core=core):
        found[-1].append(each) if each.name != "bkpt" else found.append([])
    return [tuple(block) for block in found[:-1]]


def repeated(model: InOrder, blocks: Iterable[tuple[Instruction, ...]]) -> list[float]:
    """Cycles of each block where it repeats itself."""
    return [model.cycles(block, block, block[-1].jumps) for block in blocks]


def test_kinds(decode) -> None:
    code = {
        "smlad r0, r1, r2, r3": "mac",
        "smlal r0, r1, r2, r3": "mac",
        "muls r0, r1, r0": "mac",
        "vmla.f32 s0, s1, s2": "mac",
        "smmla r0, r1, r2, r3": "mac",
        "ldr r0, [r1, #4]": "load",
        "pop {r4, r5}": "load",
        "vldr s0, [r1]": "load",
        "strb r0, [r1, r2]": "store",
        "push {r4, lr}": "store",
        "sxtab16 r0, r1, r2, ror #8": "simd",
        "ssub16 r0, r1, r2": "simd",
        "pkhbt r0, r1, r2, lsl #16": "simd",
        "ssat r0, #8, r1, asr #5": "alu",
        "adds r0, r1, r2": "alu",
        "smin: b smin": "branch",
        "cbz r0, . + 4": "branch",
        "nop": "other",
        "mrs r0, primask": "other",
    }
    found = decode(*code)
    assert [i.kind for i in found] == list(code.values())


def test_operands_that_capstone_leaves_out(decode) -> None:
    ssat, pkhbt, smlal, vldm, bfi = decode(
        "ssat r0, #8, r1, asr #5",
        "pkhbt r0, r1, r2, lsl #16",
        "smlal r0, r1, r2, r3",
        "vldmia r0!, {s0-s3}",
        "bfi r0, r1, #2, #3",
    )
    assert ssat.reads == {"r1"}
    assert pkhbt.reads == {"r1", "r2"}
    assert pkhbt.shifted == {"r2"}
    assert smlal.reads == {"r0", "r1", "r2", "r3"}
    assert smlal.accumulator == {"r0", "r1"}
    assert vldm.writes == {"r0", "s0", "s1", "s2", "s3"}
    assert vldm.words == 4
    assert bfi.reads == {"r0", "r1"}


def test_what_is_not_code_is_skipped(decode) -> None:
    (nop,) = decode("nop")
    found = Decoder().block(bytes.fromhex("fffffffe00bf"), 0)
    assert [i.decoded for i in found] == [False, True]
    assert found[0].kind == "other"
    assert found[1].text == nop.text


@pytest.mark.parametrize(
    ("cycles", "code"),
    [
        (1, ["add r0, r1, r2"]),
        (1, ["smlad r0, r1, r2, r3"]),
        (2, ["ldr r0, [r1]"]),
        (3, ["ldr r0, [r1]", "ldr r2, [r3]"]),  # pipelined
        (4, ["ldr r0, [r1]", "ldr r2, [r0]"]),  # the address is loaded
        (4, ["add r1, r1, r2", "ldr r0, [r1]"]),  # the address is computed: one cycle of stall
        (3, ["ldr r0, [r1]", "str r0, [r2, #4]"]),
        (1, ["str r0, [r1, #4]"]),
        (2, ["str r0, [r1, r2]"]),
        (3, ["ldrd r0, r1, [r2]"]),
        (5, ["ldmia r0, {r1-r4}"]),
        (1, ["vmul.f32 s0, s1, s2"]),
        (14, ["vdiv.f32 s0, s1, s2"]),
        (1, ["smlal r0, r1, r2, r3"]),
        (1, ["mla r0, r1, r2, r3"]),
    ],
)
def test_m4_by_its_manual(cycles: int, code: list[str], decode) -> None:
    assert CORTEX_M4.cycles((), decode(*code), False) == cycles


def test_taken_branches_and_other_cores(decode) -> None:
    loop = decode("loop: adds r0, r0, #1", "b loop")
    assert CORTEX_M4.cycles(loop, loop, True) == 4
    assert CORTEX_M0PLUS.cycles(loop, loop, True) == 3
    assert CORTEX_M3.cycles((), decode("mla r0, r1, r2, r3", core="cortex-m3"), False) == 2
    assert CORTEX_M0PLUS.cycles((), decode("ldr r0, [r1]", "ldr r2, [r3]"), False) == 4


@pytest.mark.parametrize(
    ("cycles", "code"),
    [
        (1, ["add r0, r1, r2", "add r3, r4, r5"]),  # a pair
        (2, ["add r0, r1, r2", "add r3, r0, r5"]),  # one needs the other
        (2, ["smlad r0, r1, r2, r0", "smlad r3, r1, r2, r3"]),  # one multiplier
        (2, ["smlad r0, r1, r2, r0", "smlad r0, r3, r4, r0"]),  # the sum is forwarded
        (1, ["smlad r0, r1, r2, r0", "ldr r5, [r6]"]),
        (1, ["ldr r0, [r8]", "ldr r1, [r8, #4]"]),  # two banks
        (2, ["ldr r0, [r8]", "ldr r1, [r8, #8]"]),  # the same bank
        (2, ["lsl r0, r1, #2", "lsl r2, r3, #2"]),  # one shifter
        (2, ["sxtb16 r0, r1", "sxtb16 r2, r3"]),  # one SIMD unit
    ],
)
def test_m7_issues_pairs(cycles: int, code: list[str], decode) -> None:
    """In a loop that repeats itself, so that nothing depends on how it began."""
    block = decode(*code, "loop: b loop")
    assert CORTEX_M7.cycles(block, block, True) <= cycles + 1
    alone = decode(*code)
    start = decode("nop", "nop")
    assert CORTEX_M7.cycles(start, alone, False) == pytest.approx(cycles, abs=0.5)


def test_m7_multiplies_once_a_cycle(decode) -> None:
    """The kernels' inner loop: loads pair with multiplications, so a cycle for each of those."""
    macs = [
        line for i in range(8) for line in (f"smlad r{i % 4}, r8, r9, r{i % 4}", f"ldr r{4 + i % 4}, [r10, #{4 * i}]")
    ]
    block = decode(*macs, "loop: b loop")
    assert 8 <= CORTEX_M7.cycles(block, block, True) <= 9.5


M33 = {
    "smlad r0, r1, r2, r0; smlad r0, r3, r4, r0": 2,  # the sum is forwarded
    "mul r8, r1, r2; add r3, r8, r4": 3,
    "muls r0, r1, r0": 2,  # sets flags
    "ldr r0, [r1]; add r2, r0, r3": 3,
    "ldr r0, [r1]; add r4, r5, r6; add r2, r0, r3": 3,
    "ldr r0, [r1]; smlad r4, r5, r6, r0": 2,  # as an accumulator a cycle early
    "ldr r0, [r1]; sxtab16 r4, r0, r5": 3,  # not that of an extension
    "smlad r0, r1, r2, r3; sxtab16 r0, r0, r5": 2,
    "ldr r0, [r1]; str r0, [r2]": 2,
    "ldrd r0, r1, [r2]": 2,
    "ldmia r6!, {r0-r3}": 4,
    "add.w r3, r4, r5, ror #24; add r6, r3, r4": 3,
    "eors.w r0, r1, #0x1fc0": 2,  # a shifted constant and flags
    "eor.w r0, r1, #0x1b1b1b1b": 1,
    "bfi r0, r1, #2, #3; add r2, r0, r3": 2,
    "adds r0, r0, r1; it eq; moveq r2, r3": 2,
    "vldr s0, [r1]; vadd.f32 s1, s0, s2": 2,
    "vfma.f32 s0, s1, s2; vadd.f32 s3, s4, s5": 4,  # no float in two cycles after it
    "vfma.f32 s0, s1, s2; add r0, r1, r2; add r3, r4, r5": 3,
    "1: subs r7, #1; bne 1b": 3,  # a branch right after its flags
    "2: subs r7, #1; add r0, r1; bne 2b": 3,
    "3: subs r7, #1; ldmia r6!, {r0-r3}; bne 3b": 6,
    "4: subs r7, #1; add.w r0, r0, r1; bne 4b": 4,  # of 32 bits: no pair
}
"""What was measured on an RP2350."""


def test_m33_as_measured(decode) -> None:
    assert dict(zip(M33, repeated(CORTEX_M33, blocks_of(decode, list(M33), "cortex-m33")), strict=True)) == M33


M55 = {
    "vldrw.u32 q0, [r0]; vadd.i32 q1, q2, q3; vmul.i32 q4, q5, q6; vstrw.32 q7, [r1]": 5,  # two beats, overlapping
    "vldrw.u32 q0, [r0]; vldrb.u8 q1, [r1]; vadd.i32 q2, q3, q4; vstrw.32 q5, [r2]": 6,  # one pipe for memory
    "vldrb.u8 q0, [r0]; vmladava.s8 r2, q1, q2": 2,
    "vmul.i32 q0, q1, q2; vadd.i32 q3, q0, q4": 3,
    "vmul.i32 q0, q1, q2; vstrw.32 q0, [r0]": 2,  # read late
    "vqmovnb.s16 q0, q1; vstrb.16 q0, [r0]": 4,  # not of narrowed values
    "vadd.i32 q0, q1, q2; vldrw.u32 q3, [r0, q0]": 6,  # offsets are read early
    "vmov q0[2], q0[0], r0, r1; vmov q1[2], q1[0], r2, r3": 2,  # either pipe
    "vpst; vaddt.i32 q0, q1, q2; vmul.i32 q3, q4, q5": 3,
    "adds r0, #1; ldr r1, [r2]": 1,  # a pair of 16 bits
    "add.w r0, r0, #1; ldr r1, [r2]": 2,
    "ldr r0, [r2]; ldr r1, [r2]": 2,
    "ldr r0, [r1]; add r2, r0, r3": 3,
    "smlad r0, r1, r2, r0": 2,  # nothing is forwarded
    "1: adds r0, r1, r2; subs r3, #1; bne 1b": 4,
    "2: vldrb.u8 q0, [r0]; vmladava.s8 r2, q1, q2; le lr, 2b": 2,
    "3: dls lr, r0": 4,
}
"""By LLVM's model and the examples in its file."""


def test_m55_as_its_makers_say(decode) -> None:
    assert dict(zip(M55, repeated(CORTEX_M55, blocks_of(decode, list(M55), "cortex-m55")), strict=True)) == M55


M85 = {
    "add r0, r1, r2; add r3, r4, r5": 1,
    "add r0, r1, r2; add r3, r0, r5; add r6, r7, r8; add r8, r7, r1": 2,
    "smlad r0, r1, r2, r0; smlad r0, r3, r4, r0": 2,
    "ldr r0, [r2]; ldr r1, [r2, #4]": 1,
    "ldr r0, [r2]; ldr r1, [r2, #16]": 2,  # one bank
    "ldrd r0, r1, [r2]; add r3, r4, r5": 1,
    "ldr r0, [r0]": 2,  # an address is read early
    "sxtb16 r0, r1; sxtb16 r2, r3": 2,  # one place
    "add r0, r1, r2; vadd.i32 q0, q1, q2": 2,
    "vldrw.u32 q0, [r0]; vmul.i32 q1, q2, q3; vadd.i32 q4, q5, q6; vstrw.32 q7, [r1]": 4,
    "vmladava.s8 r0, q0, q1; vmladava.s8 r0, q2, q3": 4,  # the sum is forwarded
    "1: vldrb.u8 q0, [r0]; vmladava.s8 r2, q1, q2; le lr, 1b": 2,
}


def test_m85(decode) -> None:
    assert dict(zip(M85, repeated(CORTEX_M85, blocks_of(decode, list(M85), "cortex-m55")), strict=True)) == M85


POINTWISE = """
    vldrb.u8 q0, [r1], #16; vldrb.u8 q2, [r5], #64; vldrb.u8 q1, [r3], #16; vmladava.s8 r0, q0, q2
    vldrb.u8 q3, [r5, #-48]; vmladava.s8 r8, q1, q2; vldrb.u8 q2, [r5, #-32]; vmladava.s8 r2, q0, q3
    vmladava.s8 r10, q1, q3; vldrb.u8 q3, [r5, #-16]; vmladava.s8 r4, q0, q2; vmladava.s8 r12, q1, q2
    vmladava.s8 r6, q0, q3; vmladava.s8 lr, q1, q3; vmov q0[2], q0[0], r0, r4; vmov q0[3], q0[1], r2, r6
    vmov q1[2], q1[0], r8, r12; vmov q1[3], q1[1], r10, lr; vldrw.u32 q2, [r5], #16; vldrw.u32 q3, [r5], #16
    vmulh.s32 q0, q0, q2; vadd.i32 q0, q0, q3; vmulh.s32 q1, q1, q2; vadd.i32 q1, q1, q3
    vqrshrnb.s32 q0, q0, #4; vqrshrnt.s32 q0, q1, #4; vqmovnb.s16 q0, q0; vstrb.16 q0, [r9, q4]
    vmov r1, r3, s26, s27"""
DEPTHWISE = """
    vldrw.u32 q0, [r1, q5]; vldrw.u32 q3, [r5, q5]; vmladav.s8 r0, q0, q6; vmladav.s8 r2, q0, q7
    vldrw.u32 q0, [r3, q5]; vmladav.s8 r4, q3, q6; vmladav.s8 r6, q3, q7; vldrw.u32 q3, [r7, q5]
    vmladav.s8 r8, q0, q6; vmladav.s8 r12, q0, q7; vmov q1[2], q1[0], r2, r6; vmladav.s8 r2, q3, q6
    vmladav.s8 r6, q3, q7; vmov q0[2], q0[0], r0, r4; vmov r1, r3, s16, s17; vmov q0[3], q0[1], r8, r2
    vmov q1[3], q1[1], r12, r6; vadd.i32 q0, q0, r1; vadd.i32 q1, q1, r1; vqdmlash.s32 q0, q2, r3
    vqdmlash.s32 q1, q2, r3; vldrh.u16 q3, [r11], #16; vqrshrnb.s32 q0, q0, #3; vqrshrnt.s32 q0, q1, #3
    vqmovnb.s16 q0, q0; vstrb.16 q0, [r9, q3]"""
LANES = """
    ldr r2, [r0], #4; smlad r4, r8, r10, r4; ldr r3, [r1], #4; smlad r5, r9, r10, r5; sxtb16 r6, r2
    sxtb16 r7, r2, ror #8; smlad r4, r6, r11, r4; ldr r8, [r1, #4]; smlad r5, r7, r11, r5; ldr r9, [r1, #8]
    smlad r4, r6, r3, r4; smlad r5, r7, r3, r5"""


@pytest.mark.parametrize(
    ("model", "code", "core", "cycles"),
    [
        (CORTEX_M55, POINTWISE, "cortex-m55", 45),
        (CORTEX_M55, DEPTHWISE, "cortex-m55", 40),
        (CORTEX_M85, POINTWISE, "cortex-m55", 51),
        (CORTEX_M85, DEPTHWISE, "cortex-m55", 43),
        (CORTEX_M7, LANES, "cortex-m7", 9),
    ],
    ids=["m55 pointwise", "m55 depthwise", "m85 pointwise", "m85 depthwise", "m7 lanes"],
)
def test_models_agree_with_llvm_mca(model: InOrder, code: str, core: str, cycles: float, decode) -> None:
    """Inner blocks of kernels, each repeated, in cycles by llvm-mca of LLVM 22.1.8.

    It waits with an instruction until its result isn't there before that of the one before.
    """
    (block,) = blocks_of(decode, [code.replace("\n", ";").strip(" ;")], core)
    assert model.settled(ResultsInOrder(model.core), block, False) == pytest.approx(cycles, rel=0.02)
