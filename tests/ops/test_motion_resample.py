"""Samples at another rate: the definition by fractions, and the kernel."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from tests.support.full import also
from tests.support.kernel_checks import check, site_of
from tinycompile.dtypes import INT16
from tinycompile.ir import Site, TensorType
from tinycompile.kernels.motion import motion_resample
from tinycompile.ops.motion_resample import MOST, MotionResample


def site(taken: int, made: int, blocks: int, channels: int = 2) -> Site:
    types = [TensorType((1, n, channels), INT16) for n in (taken * blocks, 1)]
    return site_of(MotionResample(taken, made), types, [None, None], types[0])


def by_fractions(samples: list[int], before: int, taken: int, made: int) -> list[int]:
    """The point of the line at (j + 1) * taken / made behind the sample before, to the nearest integer, halves up."""
    line, found = [before, *samples], list[int]()
    for j in range(len(samples) * made // taken):
        at = Fraction((j + 1) * taken, made)
        first, part = line[floor(at)], at - floor(at)
        second = line[floor(at) + 1] if part else first
        found.append(floor((first * (1 - part) + second * part) + Fraction(made // 2, made)))
    return found


@pytest.mark.parametrize(("taken", "made", "blocks"), [(52, 25, 2), (3, 7, 5), (1, 4, 6), (5, 1, 3), (1, 1, 4)])
def test_points_between_samples(taken: int, made: int, blocks: int) -> None:
    rng, node = np.random.default_rng(made), site(taken, made, blocks)
    x, before = (rng.integers(-32768, 32768, t.shape).astype(np.int16) for t in node.sig.inputs)
    x.ravel()[:4] = [-32768, 32767, 32767, -32768]
    (found,) = node.node.op.evaluate(node.sig, [x, before])
    for channel in range(2):
        expected = by_fractions(x[0, :, channel].tolist(), int(before[0, 0, channel]), taken, made)
        assert found[0, :, channel].tolist() == expected


def test_the_last_one_is_a_sample_and_hops_continue_each_other() -> None:
    node, rng = site(52, 25, 2), np.random.default_rng(0)
    x = rng.integers(-32768, 32768, (1, 104, 2)).astype(np.int16)
    zero, half = np.zeros((1, 1, 2), np.int16), site(52, 25, 1)
    (whole,) = node.node.op.evaluate(node.sig, [x, zero])
    (first,) = half.node.op.evaluate(half.sig, [x[:, :52], zero])
    (second,) = half.node.op.evaluate(half.sig, [x[:, 52:], x[:, 51:52]])
    np.testing.assert_array_equal(np.concatenate([first, second], 1), whole)
    np.testing.assert_array_equal(whole[:, -1], x[:, -1])


@pytest.mark.parametrize(("taken", "made", "blocks"), [(3, MOST, 1), *also((52, 25, 2), (MOST, 2, 1), (5, 1, 3))])
def test_the_kernel(taken: int, made: int, blocks: int) -> None:
    check(motion_resample, site(taken, made, blocks))


def test_what_is_no_rate() -> None:
    samples, before = TensorType((1, 6, 2), INT16), TensorType((1, 1, 2), INT16)
    for op, other in (
        (MotionResample(4, 3), before),
        (MotionResample(3, MOST + 1), before),
        (MotionResample(3, 1), samples),
    ):
        with pytest.raises(ValueError, match=r"of its rate|no sample in front"):
            op.infer([samples, other])
