"""SignalPCAN against TFLM."""

from __future__ import annotations

import numpy as np

from tests.ops.signal_models import SignalForm, check


def form(n: int, shift: int, table: np.ndarray) -> SignalForm:
    shape = ((n,), "uint32")
    return SignalForm("SignalPCAN", [shape, shape], [shape], {"snr_shift": shift}, [table])


FALLING = np.sort(np.random.default_rng(0).integers(0, 32768, 125))[::-1].astype(np.int16)
ANYTHING = np.random.default_rng(1).integers(-32768, 32768, 130).astype(np.int16)
FORMS = [form(400, 18, FALLING), form(400, 0, ANYTHING), form(1, 63, ANYTHING)]


def test_against_tflm() -> None:
    check(*FORMS, steps=3, digest="080e7908c08e8de9")
