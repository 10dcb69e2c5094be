"""Targets: what `board_support/<board>/board.toml` says."""

from tinycompile.targets.board import Board, Memory, Qemu, all_boards, load_board

__all__ = ["Board", "Memory", "Qemu", "all_boards", "load_board"]
