"""Targets: what `board_support/<board>/board.toml` and `board_support/toolchains/<toolchain>.toml` say."""

from tinycompile.targets.board import (
    BOARDS_FOLDER,
    Alignment,
    Board,
    Flasher,
    Qemu,
    all_boards,
    behind_bootloader,
    copy_boards,
    load_board,
    strict,
    strict_flags,
)
from tinycompile.targets.core import FEATURES, Core
from tinycompile.targets.memory import Memory
from tinycompile.targets.toolchain import Toolchain, load_toolchain

__all__ = [
    "BOARDS_FOLDER",
    "FEATURES",
    "Alignment",
    "Board",
    "Core",
    "Flasher",
    "Memory",
    "Qemu",
    "Toolchain",
    "all_boards",
    "behind_bootloader",
    "copy_boards",
    "load_board",
    "load_toolchain",
    "strict",
    "strict_flags",
]
