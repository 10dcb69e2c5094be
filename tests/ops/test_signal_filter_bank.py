"""SignalFilterBank against TFLM."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.signal_models import SignalForm, check
from tinycompile.errors import ModelFileError
from tinycompile.frontend.tflite import import_tflite


def form(energies: int, widths: list[int], least: int) -> SignalForm:
    rng, channels = np.random.default_rng(energies), len(widths) - 1
    firsts, count = np.cumsum([0, *np.maximum(widths[:-1], 0)]), sum(np.maximum(widths, 0)) + 3
    weights = [rng.integers(least, 4096, count).astype(np.int16) for _ in range(2)]
    constants = [*weights, firsts.astype(np.int16), (firsts + 3).astype(np.int16), np.array(widths, np.int16)]
    shapes = ((energies,), "uint32"), ((channels,), "uint64")
    return SignalForm("SignalFilterBank", shapes[:1], shapes[1:], {"num_channels": channels}, constants)


FORMS = [form(40, [4, 8, 0, 3, 12, 9], 0), form(6, [1, 5], -4096), form(7, [-2, 3, 0], 0)]


def test_against_tflm() -> None:
    check(*FORMS, steps=2, digest="a52ebd8b67ee479d")


def test_energies_that_are_not_there() -> None:
    with pytest.raises(ModelFileError, match="12 energies from 15 on"):
        import_tflite(form(26, [4, 8, 0, 3, 12], 0).content(), "m", "m.tflite")
