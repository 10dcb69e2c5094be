"""Cores for tests of kernels, by name and by what they have."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.targets import Core, load_board, load_toolchain
from tinycompile.targets.core import core_of


def core_named(name: str, *, dsp: bool = False, mve: bool = False, fpu: bool = False, strict: bool = False) -> Core:
    """A core that the toolchain lists, with these of the features that the like of it may have or not; "host"."""
    if name == "host":
        return load_board("host").core
    table = {"name": name, "dsp": dsp, "mve": mve, "fpu": fpu}
    return replace(core_of(table, load_toolchain("arm-none-eabi")), strict=strict)
