"""SignalFramer against TFLM, over several inferences that follow each other."""

from __future__ import annotations

import pytest

from tests.ops.signal_models import SignalForm, check


def form(size: int, step: int, frames: int = 1, outer: tuple[int, ...] = (), *, prefill: bool = False) -> SignalForm:
    options: dict[str, int | float | bool] = {"frame_size": size, "frame_step": step, "prefill": prefill}
    outputs = [((*outer, frames, size), "int16"), ((), "bool")]
    return SignalForm("SignalFramer", [((*outer, frames * step), "int16")], outputs, options, valid=True)


FORMS = [
    form(480, 320),
    form(480, 320, prefill=True),
    form(12, 4, 2, (2, 3)),
    form(10, 4, 3, (2,), prefill=True),
    form(10, 4, 5),
    form(3, 8, 2),
    form(8, 8),
    form(8, 8, 2, prefill=True),
    form(9, 1),
]


@pytest.mark.parametrize(("forms", "digest"), [(FORMS[:4], "b0b6d0ced2d5e6f1"), (FORMS[4:], "be79c8c64125d81a")])
def test_against_tflm(forms: list[SignalForm], digest: str) -> None:
    check(*forms, steps=12, digest=digest)
