"""SignalFilterBankSquareRoot against TFLM."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.signal_models import SignalForm, check, ours, theirs


def form(n: int) -> SignalForm:
    inputs = [((n,), "uint64"), ((), "int32")]
    return SignalForm("SignalFilterBankSquareRoot", inputs, [((n,), "uint32")], {})


FORMS = [form(200), form(1)]


def test_against_tflm() -> None:
    check(*FORMS, steps=4, digest="afce77a529b6ff3d")


def test_ends() -> None:
    """Where roots are rounded, and where there are no bits to round in."""
    pytest.importorskip("tflite_micro", reason="the wheel tflite-micro isn't installed")
    roots = [*range(4), 65534, 65535, 65536, 65537, 2**20, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
    values = sorted({r * r + d for r in roots for d in (-1, 0, 1, r, r + 1, 2 * r) if 0 <= r * r + d < 2**64})
    inputs = [np.array([*values, 2**32 - 1, 2**64 - 1], np.uint64), np.array(0, np.int32)]
    one = form(len(inputs[0]))
    np.testing.assert_array_equal(ours(one, [inputs])[0][0], theirs(one, [inputs])[0][0])
