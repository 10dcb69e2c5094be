"""Kinds of instructions, and cycles of short sequences as the manuals and measurements on silicon have them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tinycompile.profile.dual_issue import CORTEX_M7
from tinycompile.profile.instructions import Decoder, Instruction
from tinycompile.profile.single_issue import CORTEX_M0PLUS, CORTEX_M3, CORTEX_M4


@pytest.fixture(scope="module")
def decode(tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("capstone", reason="profile needs Capstone")

    def decoded(*lines: str, core: str = "cortex-m7") -> tuple[Instruction, ...]:
        folder: Path = tmp_path_factory.mktemp("code")
        (folder / "a.s").write_text(".syntax unified\n.thumb\n.fpu fpv5-d16\n" + "\n".join(lines) + "\n")
        compiler = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", "-mfloat-abi=hard", "-c", "a.s", "-o", "a.o"]
        subprocess.run(compiler, cwd=folder, check=True)
        copy = ["arm-none-eabi-objcopy", "-O", "binary", "-j", ".text", "a.o", "a.bin"]
        subprocess.run(copy, cwd=folder, check=True)
        return Decoder().block((folder / "a.bin").read_bytes(), 0)

    return decoded


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
