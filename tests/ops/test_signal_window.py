"""SignalWindow against TFLM."""

from __future__ import annotations

import numpy as np

from tests.ops.signal_models import SignalForm, check


def form(shape: tuple[int, ...], shift: int) -> SignalForm:
    weights = np.random.default_rng(shift).integers(-32768, 32767, shape[-1], np.int16)
    return SignalForm("SignalWindow", [(shape, "int16")], [(shape, "int16")], {"shift": shift}, [weights])


FORMS = [form((33,), 12), form((2, 3, 10), 0), form((4, 16), 31)]


def test_against_tflm() -> None:
    check(*FORMS, steps=2, digest="8c59b83c3569771c")
