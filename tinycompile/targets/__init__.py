"""Targets: what `board_support/<board>/board.toml` says."""

from tinycompile.targets.board import (
    BOARDS_FOLDER,
    STRICT_FLAGS,
    Alignment,
    Board,
    Flasher,
    Qemu,
    all_boards,
    behind_bootloader,
    copy_boards,
    load_board,
    strict,
)
from tinycompile.targets.memory import Memory

__all__ = [
    "BOARDS_FOLDER",
    "STRICT_FLAGS",
    "Alignment",
    "Board",
    "Flasher",
    "Memory",
    "Qemu",
    "all_boards",
    "behind_bootloader",
    "copy_boards",
    "load_board",
    "strict",
]
