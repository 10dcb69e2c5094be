"""SignalIrfft against TFLM."""

from __future__ import annotations

from tests.ops.signal_models import SignalForm, check, number_of
from tests.ops.test_signal_rfft import LENGTHS


def form(dtype: str, length: int, outer: tuple[int, ...] = ()) -> SignalForm:
    shapes = ((*outer, length + 2), dtype), ((*outer, length), dtype)
    return SignalForm("SignalIrfft", shapes[:1], shapes[1:], {"T": number_of(dtype), "fft_length": length})


FORMS = [form(dtype, n) for dtype in ("int16", "int32") for n in LENGTHS]
FORMS += [form("int16", 512), form("int32", 48, (2, 3)), form("int16", 32, (2,))]


def test_integers() -> None:
    check(*FORMS, steps=2, digest="df96533b5bb45a20")


FLOATS = [form("float32", n, (2,)) for n in LENGTHS]


def test_floats() -> None:
    check(*FLOATS, steps=1, digest="e3b0c44298fc1c14")
