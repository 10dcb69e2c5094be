"""Targets: what `board_support/<board>/board.toml` and `board_support/toolchains/<toolchain>.toml` say."""

from tinycompile.targets.access_time import Access, Cycles
from tinycompile.targets.board import (
    BOARDS_FOLDER,
    Alignment,
    Board,
    Fetch,
    Flasher,
    Power,
    Qemu,
    all_boards,
    behind_bootloader,
    compact,
    copy_boards,
    load_board,
    seen_by_second,
    strict,
    strict_flags,
    with_both_cores,
)
from tinycompile.targets.core import FEATURES, Core
from tinycompile.targets.memory import Memory
from tinycompile.targets.memory_system import Cache, MemorySystem
from tinycompile.targets.second_core import SecondCore
from tinycompile.targets.toolchain import Toolchain, load_toolchain

__all__ = [
    "BOARDS_FOLDER",
    "FEATURES",
    "Access",
    "Alignment",
    "Board",
    "Cache",
    "Core",
    "Cycles",
    "Fetch",
    "Flasher",
    "Memory",
    "MemorySystem",
    "Power",
    "Qemu",
    "SecondCore",
    "Toolchain",
    "all_boards",
    "behind_bootloader",
    "compact",
    "copy_boards",
    "load_board",
    "load_toolchain",
    "seen_by_second",
    "strict",
    "strict_flags",
    "with_both_cores",
]
