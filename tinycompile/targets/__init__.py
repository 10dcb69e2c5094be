"""Targets: what `board_support/<board>/board.toml` says."""

from tinycompile.targets.board import Board, Qemu, all_boards, load_board
from tinycompile.targets.memory import Memory

__all__ = ["Board", "Memory", "Qemu", "all_boards", "load_board"]
