"""From a solved requantisation to the arguments of the macros that define block functions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.kernels.test_dsp import layer
from tinycompile.kernels.lane import PRE, lane_offset
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.ops.conv2d import Conv2D


@pytest.fixture(scope="module")
def plan() -> RequantPlan:
    """Of a convolution without an activation."""
    found = LinearLayer.of(layer(Conv2D(), (1, 1, 4, 8), (8, 1, 1, 8), 0, 0))
    return found.solve(PRE, lane_offset(found.matrix))


@pytest.mark.parametrize(
    ("clamp", "steps", "arguments"),
    [
        ((-128, 127), 0, "ssat, 8, {}, -128, 127"),
        ((-64, 63), 0, "ssat, 7, {}, -64, 63"),
        ((0, 127), 0, "usat, 7, {}, 0, 127"),
        ((-128, 50), 2, "ssat, 8, {}, -128, 50"),
        ((-100, 127), 2, "ssat, 8, {}, -100, 127"),
        ((-64, 20), 2, "ssat, 7, {}, -64, 20"),
        ((-60, 70), 3, "ssat, 8, {}, -60, 70"),
        ((-30, 40), 4, "ssat, 7, {}, -30, 40"),
        ((5, 90), 3, "usat, 7, {}, 5, 90"),
    ],
)
def test_arguments(plan: RequantPlan, clamp: tuple[int, int], steps: int, arguments: str) -> None:
    """One way per end that the saturation doesn't see to, and back; both in one where a byte holds their sum."""
    found = RequantBlock.of(replace(plan, low=clamp[0], high=clamp[1]))
    assert found is not None
    assert found.clamp_steps == steps
    shift = int(plan.shift[0])
    assert found.define("TC_BLOCK", "block", 7).startswith(f"TC_BLOCK({found.name('block')}, 7, {plan.form}, ")
    assert found.define("TC_BLOCK", "block").endswith(f"{plan.form}, {arguments.format(shift)})")


def test_a_name_says_what_is_in_the_code(plan: RequantPlan) -> None:
    found = RequantBlock.of(replace(plan, form="smmla_signed", low=-60, high=70))
    assert found is not None
    assert found.name("lane_block_4") == f"lane_block_4_s8_asr{int(plan.shift[0])}_signed_clamp_m60_70"


def test_other_forms_and_negative_ranges_have_no_block(plan: RequantPlan) -> None:
    assert RequantBlock.of(replace(plan, form="exact")) is None
    assert RequantBlock.of(replace(plan, low=-128, high=-60)) is None
