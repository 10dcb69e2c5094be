"""SignalEnergy against TFLM."""

from __future__ import annotations

from tests.ops.signal_models import SignalForm, check


def form(n: int, start: int, end: int) -> SignalForm:
    options = {"start_index": start, "end_index": end}
    return SignalForm("SignalEnergy", [((2 * n,), "int16")], [((n,), "uint32")], options, defined=slice(start, end))


FORMS = [form(257, 4, 241), form(9, 0, 9), form(5, 4, 5)]


def test_against_tflm() -> None:
    check(*FORMS, steps=2, digest="8334422bf3a5db36")
