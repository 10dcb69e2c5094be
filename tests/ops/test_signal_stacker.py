"""SignalStacker against TFLM, over several inferences that follow each other."""

from __future__ import annotations

from tests.ops.signal_models import SignalForm, check


def form(channels: int, left: int, right: int, step: int) -> SignalForm:
    options = {
        "num_channels": channels,
        "stacker_left_context": left,
        "stacker_right_context": right,
        "stacker_step": step,
    }
    outputs = [((channels * (left + right + 1),), "int16"), ((), "bool")]
    return SignalForm("SignalStacker", [((channels,), "int16")], outputs, options, valid=True)


FORMS = [form(40, 1, 1, 2), form(3, 0, 0, 1), form(2, 4, 0, 1), form(5, 0, 3, 1), form(1, 3, 2, 6), form(4, 2, 3, 3)]


def test_against_tflm() -> None:
    check(*FORMS, steps=16, digest="b7b7233f478b551c")
