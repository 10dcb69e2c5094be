"""Targets: what `board_support/<board>/board.toml` says."""

from tinycompile.targets.board import Board, Flasher, Qemu, all_boards, load_board
from tinycompile.targets.memory import Memory

__all__ = ["Board", "Flasher", "Memory", "Qemu", "all_boards", "load_board"]
