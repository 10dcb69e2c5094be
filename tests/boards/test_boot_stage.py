"""RP2040's second boot stage, executed against a model of the SSI and of a W25Q flash: never on silicon."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

import pytest

from tests.conftest import ROOT

capstone = pytest.importorskip("capstone", reason="needs Capstone")

PADS, SSI, VTOR, XIP = 0x4002_0000, 0x1800_0000, 0xE000_ED08, 0x1000_0000
LOADED, STACK, CALLER = 0x2004_1F00, 0x2004_1F00, 0x1234
START, ENTRY = 0x2004_2000, XIP + 0x201


class Flash:
    """A W25Q16JV: status registers, and EBh with its mode bits (datasheet 7.1, 8.2)."""

    def __init__(self, quad: bool) -> None:
        self.quad, self.busy, self.enabled, self.continuous = quad, 0, False, False

    def answer(self, sent: list[int]) -> list[int]:
        """To bytes on one line."""
        command, *rest = sent
        if command == 0x05:
            self.busy = max(0, self.busy - 1)
            return [0xFF, int(self.busy > 0)]
        if command == 0x35:
            return [0xFF, 2 * self.quad]
        if command == 0x06:
            self.enabled = True
        elif command == 0x01:
            assert self.enabled and len(rest) == 2, "a write has to be enabled, and register 2 is the second byte"
            self.quad, self.busy, self.enabled = bool(rest[1] & 2), 3, False
        else:
            raise AssertionError(f"command {command:#x}")
        return [0xFF] * len(sent)

    def read_quad(self, sent: list[int]) -> None:
        """EBh with 24 bits of address and 8 of mode."""
        assert self.quad and not self.busy and sent[0] == 0xEB
        self.continuous = sent[1] & 0x30 == 0x20


class Ssi:
    """Registers by RP2040 Datasheet 4.10.13; a transfer ends when its status is asked for."""

    def __init__(self, flash: Flash) -> None:
        self.flash, self.sent, self.received, self.polls = flash, list[int](), list[int](), 0
        self.registers: dict[int, int] = {}

    @property
    def enabled(self) -> bool:
        return bool(self.registers.get(0x08, 1))

    def write(self, at: int, value: int) -> None:
        if at == 0x60:
            assert self.enabled
            self.sent.append(value)
            return
        assert at == 0x08 or not self.enabled, f"register {at:#x} is written while the SSI is on"
        self.registers[at] = value

    def read(self, at: int) -> int:
        if at == 0x60:
            return self.received.pop(0)
        assert at == 0x28
        self.polls += 1
        if self.polls % 3:
            return 1 if self.polls % 3 == 1 else 0  # busy; then something is still to be sent
        if self.sent:
            self._transfer()
        return 4

    def _transfer(self) -> None:
        control, sent = self.registers[0x00], self.sent
        self.sent = []
        if control >> 21 & 3 == 0:
            assert (control >> 16 & 31, control >> 8 & 3) == (7, 0), "bytes, in both directions"
            self.received += self.flash.answer(sent)
        else:
            assert self.layout == (1, 32, 4, 8) and self.registers[0x04] == 0
            self.flash.read_quad(sent)
            self.received.append(0)

    @property
    def layout(self) -> tuple[int, int, int, int]:
        """How many of command and address are on four lines, bits of address, clocks of nothing, bits of command."""
        found = self.registers[0xF4]
        return found & 3, 4 * (found >> 2 & 15), found >> 11 & 31, (0, 4, 8, 16)[found >> 8 & 3]

    def word(self, address: int) -> int:
        """What the core reads of the flash."""
        assert self.enabled and self.flash.continuous and self.layout == (2, 32, 4, 0)
        control = self.registers[0x00]
        assert (control >> 21 & 3, control >> 16 & 31, control >> 8 & 3) == (2, 31, 3), "words on four lines"
        assert self.registers[0xF4] >> 24 & 0x30 == 0x20, "the mode that keeps the flash without commands"
        return {XIP + 0x100: START, XIP + 0x104: ENTRY}[address]


class Machine:
    """The instructions of ARMv6-M that the stage has."""

    def __init__(self, code: bytes, ssi: Ssi, caller: int) -> None:
        self.code, self.ssi, self.pads = code, ssi, {8: 0x56}
        self.r = dict.fromkeys(map("r{}".format, range(8)), 0xDEAD_BEEF) | {"lr": caller, "msp": STACK}
        self.zero = self.carry = False
        self.stack = list[int]()
        self.vectors = 0

    def load(self, at: int) -> int:
        if LOADED <= at < LOADED + len(self.code):
            return struct.unpack_from("<I", self.code, at - LOADED)[0]
        if PADS <= at < PADS + 0x20:
            return self.pads[at - PADS]
        return self.ssi.read(at - SSI) if SSI <= at < SSI + 0x100 else self.ssi.word(at)

    def store(self, at: int, value: int) -> None:
        if PADS <= at < PADS + 0x20:
            self.pads[at - PADS] = value
        elif at == VTOR:
            self.vectors = value
        else:
            self.ssi.write(at - SSI, value)

    def value(self, text: str) -> int:
        return int(text[1:], 0) if text[0] == "#" else self.r[text]

    def address(self, text: str, pc: int) -> int:
        names = re.findall(r"[#\w]+", text)
        return sum((pc + 4) // 4 * 4 if name == "pc" else self.value(name) for name in names)

    def result(self, to: str, value: int) -> None:
        self.r[to], self.zero = value & 0xFFFF_FFFF, value & 0xFFFF_FFFF == 0

    def run(self) -> int:
        """Until it jumps out of itself; where to."""
        pc, decoder = LOADED, capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
        for _ in range(2000):
            if not LOADED <= pc < LOADED + len(self.code):
                return pc
            _, size, name, operands = next(decoder.disasm_lite(self.code[pc - LOADED :], pc))
            pc = self.step(name.removesuffix(".w"), operands, pc, pc + size)
        raise AssertionError("the stage doesn't end")

    def step(self, name: str, operands: str, pc: int, after: int) -> int:
        """The next address."""
        to, _, rest = operands.partition(", ")
        taken: dict[str, Callable[[], bool]] = {
            "b": lambda: True,
            "bl": lambda: True,
            "beq": lambda: self.zero,
            "bcs": lambda: self.carry,
            "bhs": lambda: self.carry,
            "bcc": lambda: not self.carry,
            "blo": lambda: not self.carry,
        }
        if name in taken:
            if name == "bl":
                self.r["lr"] = after | 1
            return int(operands[1:], 0) if taken[name]() else after
        if name == "bx":
            return self.r[to] & ~1
        if name == "push":
            self.stack.append(self.r["lr"])
        elif name == "pop":
            self.r["r0"] = self.stack.pop()
        elif name == "ldr":
            self.r[to] = self.load(self.address(rest, pc))
        elif name == "str":
            self.store(self.address(rest, pc), self.r[to])
        elif name in ("mov", "movs", "msr"):
            self.result(to, self.value(rest))
        elif name in ("bic", "bics"):
            self.result(to, self.r[to] & ~self.value(rest.split(", ")[-1]))
        elif name in ("lsr", "lsrs"):
            source, by = self.r[rest.split(", ")[0]], self.value(rest.split(", ")[-1])
            self.carry = bool(source >> by - 1 & 1)
            self.result(to, source >> by)
        elif name == "cmp":
            self.zero = self.r[to] == self.value(rest)
        elif name in ("ldm", "ldmia"):
            base = self.r[to.rstrip("!")]
            self.r["r0"], self.r["r1"] = self.load(base), self.load(base + 4)
        else:
            raise AssertionError(f"{name} {operands}")
        return after


def words() -> bytes:
    source = (ROOT / "board_support" / "rp2040" / "boot2.c").read_text()
    found = re.findall(r"0x([0-9A-F]{8})u", source.split("boot2[64] = {")[1])[:-1]
    return struct.pack(f"<{len(found)}I", *(int(word, 16) for word in found))


@pytest.mark.parametrize("quad", [True, False])
@pytest.mark.parametrize("caller", [0, CALLER | 1])
def test_the_flash_is_left_reading_on_four_lines(quad: bool, caller: int) -> None:
    """Whether quad lines were enabled before or not; called by the boot ROM, or by a program that wrote flash."""
    flash = Flash(quad)
    machine = Machine(words(), Ssi(flash), caller)
    to = machine.run()
    assert flash.quad and flash.continuous and not flash.busy and machine.stack == []
    assert machine.ssi.registers[0x14] == 2 and machine.ssi.registers[0xF0] == 1
    assert machine.pads == {4: 0x21, **dict.fromkeys((8, 12, 16, 20), 0x54)}
    if caller:
        assert to == CALLER and not machine.vectors
    else:
        assert (to, machine.r["msp"], machine.vectors) == (ENTRY - 1, START, XIP + 0x100)
    assert machine.ssi.word(XIP + 0x100) == START
