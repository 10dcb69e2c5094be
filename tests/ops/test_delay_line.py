"""DelayLine: made by the compiler, so it is compared with NumPy, and its kernel with it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.kernel_checks import check, int8, site_of
from tinycompile.dtypes import FLOAT32, INT8, INT16
from tinycompile.ir import TensorType
from tinycompile.kernels.delay_line import delay_line
from tinycompile.ops.delay_line import DelayLine

CASES = [
    ((1, 5, 3), 1, DelayLine(1, 0, 1), None),
    ((1, 5, 3), 7, DelayLine(1, 2, 4), None),
    ((1, 5, 3), 5, DelayLine(1, 0, 5), INT16),
    ((2, 3, 9, 2), 4, DelayLine(2, 1, 2), FLOAT32),
    ((7,), 3, DelayLine(0, 1, 2), INT8),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_rows_follow(case):
    """The kernels apart, and in the line's memory."""
    shape, rows, op, dtype = CASES[case]
    others = (*shape[: op.axis], rows, *shape[op.axis + 1 :])
    types = [int8(s) if dtype is None else TensorType(s, dtype) for s in (shape, others)]
    site = site_of(op, types, [None, None], types[0])
    line, new = (np.arange(np.prod(s)).reshape(s) for s in (shape, others))
    (found,) = op.evaluate(site.sig, [line, new])
    taken = np.take(new, range(op.begin, op.begin + op.count), op.axis)
    everything = np.concatenate([line, taken], op.axis)
    np.testing.assert_array_equal(found, np.take(everything, range(-shape[op.axis], 0), op.axis))
    if case in (1, 3):
        assert check(delay_line, site).distances == {0: 0}


@pytest.mark.parametrize(
    ("op", "rows", "message"),
    [
        (DelayLine(1, 0, 4), (1, 4, 2), "4 rows from 0 on"),
        (DelayLine(1, 2, 2), (1, 3, 2), "2 rows from 2 on"),
        (DelayLine(1, 0, 0), (1, 3, 2), "0 rows"),
        (DelayLine(1, 0, 1), (1, 3, 5), "are no rows of"),
        (DelayLine(3, 0, 1), (1, 3, 2), "axis 3"),
    ],
)
def test_other_rows_are_refused(op, rows, message):
    with pytest.raises(ValueError, match=message):
        op.infer([int8((1, 3, 2)), int8(rows)])
