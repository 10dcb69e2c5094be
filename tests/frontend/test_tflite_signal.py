"""TFLM's signal operators that other operators express, and files that contradict themselves."""

from __future__ import annotations

from tests.ops.signal_models import SignalForm, check


def delay(shape: tuple[int, ...], length: int) -> SignalForm:
    return SignalForm("SignalDelay", [(shape, "int16")], [(shape, "int16")], {"delay_length": length})


FORMS = [delay((8,), 3), delay((2, 4), 4), delay((3, 1, 5), 12), delay((4,), 0)]


def test_delay() -> None:
    check(*FORMS, steps=8, digest="29abaf43019816cb")
