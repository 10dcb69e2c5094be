"""Whether everything that a firmware loads and stores in QEMU is aligned."""

from __future__ import annotations

from pathlib import Path

from tinycompile.profile.counter import plugin
from tinycompile.toolchain import require


def alignment_plugin(report: Path, emulator: str = "qemu-system-arm") -> str:
    """QEMU's -plugin argument."""
    return f"{plugin(require(emulator), Path(__file__).with_name('alignment.c'))},out={report}"


def check_aligned(report: Path) -> int:
    """The number of loads and stores; raises AssertionError if one isn't aligned."""
    total, *found = report.read_text().splitlines()
    accesses, unaligned = (int(n) for n in total.split())
    if unaligned:
        raise AssertionError(f"{unaligned} of {accesses} accesses; instruction, address, bytes:\n" + "\n".join(found))
    return accesses
