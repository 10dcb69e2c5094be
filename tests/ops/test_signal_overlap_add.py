"""SignalOverlapAdd against TFLM, over several inferences that follow each other."""

from __future__ import annotations

from tests.ops.signal_models import SignalForm, check, number_of


def form(dtype: str, size: int, step: int, frames: int = 1, outer: tuple[int, ...] = ()) -> SignalForm:
    shapes = ((*outer, frames, size), dtype), ((*outer, frames * step), dtype)
    return SignalForm("SignalOverlapAdd", shapes[:1], shapes[1:], {"T": number_of(dtype), "frame_step": step})


FORMS = [form("int16", 12, 4), form("int16", 7, 5, 3, (2,)), form("int16", 9, 1)]


def test_integers() -> None:
    check(*FORMS, form("int16", 6, 6, 2), digest="ca0a269727b79bb7")


FLOATS = [form("float32", 12, 4, 2, (3,))]


def test_floats() -> None:
    check(*FLOATS, form("float32", 8, 8), digest="e3b0c44298fc1c14")
