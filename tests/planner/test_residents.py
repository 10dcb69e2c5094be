"""Plans for constants that are all in RAM."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conftest import DIGITS
from tinycompile.lowering import lower
from tinycompile.options import Options
from tinycompile.residents import room_for_constants

RP2350 = Options(target="rp2350", optimize="speed")


@pytest.mark.parametrize(
    ("options", "resident"),
    [
        (RP2350, True),
        (replace(RP2350, fast_weights=0), False),
        (replace(RP2350, weights="separate"), False),
        (replace(RP2350, ram=6000), False),
        (replace(RP2350, target="mps2-an505"), False),
    ],
)
def test_kernels_are_chosen_for_constants_in_ram_where_all_may_be_and_fit(options: Options, resident: bool) -> None:
    (model,), layout = lower([DIGITS / "digits_int8.tflite"], options.board(), options)
    planned = model.planned
    constants = sum(kernel.constant_bytes for kernel in planned.kernels)
    assert layout.resident == resident
    if resident:
        assert not any(kernel.stalls or kernel.copies for kernel in planned.kernels)
        assert constants <= room_for_constants([planned], layout, options)
    elif options.ram is not None:
        assert constants > room_for_constants([planned], layout, options)
