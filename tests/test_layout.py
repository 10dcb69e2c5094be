"""Which constants leave the internal flash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.kernels.base import Constant, Function, Kernel
from tinycompile.layout import CODE_BYTES, cold_constants
from tinycompile.targets import load_board


def kernel(stem: str, size: int) -> Kernel:
    function = Function(stem, ("const int8_t *input",), "    (void)input;\n")
    return Kernel("test", function, (Constant("w", "int8_t", np.zeros(size, np.int8)),), code_bytes=1000)


def test_layers_of_one_function_take_its_code_once() -> None:
    """Kernels are made layer by layer; functions are the same where their text is."""
    board = load_board("stm32f746")
    room = CODE_BYTES + 1500 + 2 * 4096
    board = replace(board, memories=tuple(replace(m, bytes=room) if m == board.flash else m for m in board.memories))
    assert board.flash.bytes == room and board.external_flash is not None
    same = [kernel("f", 4096), kernel("f", 4096)]
    assert same[0].function is not same[1].function
    assert not cold_constants(board, same, [1, 1])
    assert len(cold_constants(board, [kernel("f", 4096), kernel("g", 4096)], [1, 1])) == 1
    assert len(cold_constants(board, same, [1, 1], initial=100)) == 1
