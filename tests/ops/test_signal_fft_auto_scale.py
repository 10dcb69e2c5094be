"""SignalFftAutoScale against TFLM."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.signal_models import SignalForm, check, ours, theirs

FORMS = [
    SignalForm("SignalFftAutoScale", [((n,), "int16")], [((n,), "int16"), ((), "int32")], {}, largest=largest)
    for n in (1, 2, 40)
    for largest in (1, 5, 4096, 16384, 32768)
]


def test_against_tflm() -> None:
    check(*FORMS, steps=3, digest="637b85baad4791d5")


@pytest.mark.parametrize(
    "samples",
    [
        [-32768, 5, -3],
        [7, -32768],
        [-32768, -32768, -100, 20],
        [-32768, -1, 0],
        [-32768, 0, 3],
        [0, 0, 0],
        [4, -4, 4],
        [-32767, 1, 2],
        [-16384, 1, 2],
    ],
)
def test_ends(samples: list[int]) -> None:
    pytest.importorskip("tflite_micro", reason="the wheel tflite-micro isn't installed")
    x, n = np.array(samples, np.int16), len(samples)
    form = SignalForm("SignalFftAutoScale", [((n,), "int16")], [((n,), "int16"), ((), "int32")], {})
    for a, b in zip(ours(form, [[x]])[0], theirs(form, [[x]])[0], strict=True):
        np.testing.assert_array_equal(a, b)
