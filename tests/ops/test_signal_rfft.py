"""SignalRfft against TFLM."""

from __future__ import annotations

import pytest

from tests.ops.signal_models import SignalForm, check, number_of
from tinycompile.errors import ModelFileError
from tinycompile.frontend.tflite import import_tflite


def form(dtype: str, length: int, samples: int, outer: tuple[int, ...] = (), largest: int | None = None) -> SignalForm:
    shapes = ((*outer, samples), dtype), ((*outer, length + 2), dtype)
    options = {"T": number_of(dtype), "fft_length": length}
    return SignalForm("SignalRfft", shapes[:1], shapes[1:], options, largest=largest)


LENGTHS = (4, 6, 8, 10, 12, 18, 24, 30, 32, 60, 64, 90, 100, 128)


FORMS = [form(dtype, n, n) for dtype in ("int16", "int32") for n in LENGTHS]
FORMS += [form("int16", 512, 480, largest=20000), form("int32", 48, 31, (2, 3)), form("int16", 16, 1)]
FORMS += [form("int16", 256, 100, (2,)), form("int16", 16, 13)]


def test_integers() -> None:
    check(*FORMS, steps=2, digest="8284fe104e3a480f")


FLOATS = [*(form("float32", n, n) for n in LENGTHS), form("float32", 512, 400, (2,))]


def test_floats() -> None:
    check(*FLOATS, steps=1, digest="e3b0c44298fc1c14")


@pytest.mark.parametrize(("length", "reason"), [(14, "other factors"), (2, "even numbers from 4"), (9, "even numbers")])
def test_lengths_that_tflm_has_no_memory_for(length: int, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        import_tflite(form("int16", length, 2).content(), "m", "m.tflite")
