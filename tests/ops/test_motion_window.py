"""A window as a model's numbers: the definition by real numbers, and the kernels."""

from __future__ import annotations

from math import ldexp

import numpy as np
import pytest

from tests.support.full import also
from tests.support.kernel_checks import check, site_of
from tinycompile.dtypes import FLOAT32, INT8, INT16, DType
from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels.motion import motion_window
from tinycompile.motion.front_end import _fixed  # pyright: ignore[reportPrivateUsage]
from tinycompile.ops.motion_window import MotionWindow

CONSTANTS = ((-700 * 256 + 5, 0, 32767 * 256), ((3 << 29, 44), (2**31 - 1, 39), (2**30, 33)))


def own(scale: float, steps: int) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    from fractions import Fraction

    return (), (_fixed(Fraction(steps, 256) / Fraction(scale), ""),)


def site(
    dtype: DType, means: tuple[int, ...], factors: tuple[tuple[int, int], ...], steps: int, first: bool = False
) -> Site:
    op = MotionWindow(dtype, first, 0 if dtype == FLOAT32 else 3, means, factors)
    return site_of(op, [TensorType((1, steps, 3), INT16)], [None], TensorType((), dtype))


def found(node: Site, x: Array) -> Array:
    return node.node.op.evaluate(node.sig, [x[None]])[0][0]


def recordings(steps: int) -> list[Array]:
    """Quiet ones, loud ones, ends of the range, far from 0."""
    rng = np.random.default_rng(steps)
    ends = np.where(rng.random((steps, 3)) < 0.5, -32768, 32767)
    ends[:2] = [[-32768], [32767]]
    quiet = 32766 + rng.integers(0, 2, (steps, 3))
    quiet[:2] = [[32766], [32767]]
    loud = rng.normal(-3000, [10, 900, 8000], (steps, 3)).round().clip(-32768, 32767)
    return [np.asarray(each, np.int16) for each in (ends, quiet, loud)]


@pytest.mark.parametrize("steps", [2, 64, 1000])
@pytest.mark.parametrize(("dtype", "scale"), [(INT8, 0.03), (INT16, 0.0002), (FLOAT32, 1.0)])
def test_mean_and_deviation_of_the_window(dtype: DType, scale: float, steps: int) -> None:
    """Within a 256th of a sample for the mean, and the rounding of the result."""
    node = site(dtype, *own(scale, steps), steps)
    for x in recordings(steps):
        deviation = x.std(0, dtype=np.float64)
        real = (x - x.mean(0, dtype=np.float64)) / deviation / scale
        slack = 1 / 512 / deviation / scale
        if dtype == FLOAT32:
            assert (np.abs(found(node, x) - real) <= slack + 1e-6 * np.abs(real)).all()
        else:
            low, high = dtype.range
            off = np.abs(found(node, x) - np.clip(real + 3, low, high))
            assert (off <= 0.5 + slack + 1e-4).all()


def test_a_window_without_motion_is_zero() -> None:
    still = np.tile(np.array([-32768, 5, 32767], np.int16), (8, 1))
    for dtype, zero in ((INT8, 3), (INT16, 3), (FLOAT32, 0)):
        assert (found(site(dtype, *own(0.1, 8), 8), still) == zero).all()


@pytest.mark.parametrize("dtype", [INT8, INT16, FLOAT32])
def test_constants(dtype: DType) -> None:
    node = site(dtype, *CONSTANTS, 64, first=True)
    for x in recordings(64):
        d = 256 * x.astype(np.float64) - CONSTANTS[0]
        real = d * [ldexp(m, -s) for m, s in CONSTANTS[1]]
        got = found(node, x).T
        if dtype == FLOAT32:
            np.testing.assert_allclose(got, real, rtol=2e-7)
        else:
            np.testing.assert_array_equal(got, np.clip(np.floor(real + 0.5) + 3, *dtype.range))


KERNELS = [(INT8, True, False), (FLOAT32, True, False), *also((INT16, False, True), (FLOAT32, False, True))]


@pytest.mark.parametrize(("dtype", "by_window", "first"), KERNELS)
def test_the_kernels(dtype: DType, by_window: bool, first: bool) -> None:
    parameters = own(0.02 if dtype == INT8 else 1.0, 37) if by_window else CONSTANTS
    check(motion_window, site(dtype, *parameters, 37, first))


@pytest.mark.parametrize("steps", [*also(65535)])
def test_the_kernel_on_the_longest_window(steps: int) -> None:
    check(motion_window, site(INT8, *own(0.02, steps), steps))


def test_what_is_no_window() -> None:
    x = TensorType((1, 8, 3), INT16)
    for means, factors in (((1, 2), ((2**30, 5),) * 2), ((), ((2**29, 5),)), ((), ((2**30, 0),))):
        with pytest.raises(ValueError, match="factors"):
            MotionWindow(INT8, False, 0, means, factors).infer([x])
    with pytest.raises(ValueError, match="no window"):
        MotionWindow(INT8, False, 0, (), ((2**30, 5),)).infer([TensorType((1, 65536, 3), INT16)])
