"""SignalFilterBankLog against TFLM."""

from __future__ import annotations

from tests.ops.signal_models import SignalForm, check


def form(n: int, scale: int, shift: int) -> SignalForm:
    options = {"output_scale": scale, "input_correction_bits": shift}
    return SignalForm("SignalFilterBankLog", [((n,), "uint32")], [((n,), "int16")], options)


FORMS = [form(4000, 64, 3), form(1, 1, 0), form(500, 30000, 31), form(500, 2**31 - 1, 0)]


def test_against_tflm() -> None:
    check(*FORMS, steps=2, digest="3a7715d34eb4680b")
