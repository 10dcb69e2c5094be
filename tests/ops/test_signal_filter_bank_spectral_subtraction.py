"""SignalFilterBankSpectralSubtraction against TFLM, over several inferences that follow each other."""

from __future__ import annotations

from tests.ops.signal_models import SignalForm, check


def form(n: int, smoothing: tuple[int, int], bits: int, smoothing_bits: int, *, clamping: bool = False) -> SignalForm:
    one = 1 << bits
    options: dict[str, int | float | bool] = {
        "alternate_one_minus_smoothing": one - smoothing[1],
        "alternate_smoothing": smoothing[1],
        "clamping": clamping,
        "min_signal_remaining": one // 20,
        "num_channels": n,
        "one_minus_smoothing": one - smoothing[0],
        "smoothing": smoothing[0],
        "smoothing_bits": smoothing_bits,
        "spectral_subtraction_bits": bits,
    }
    name, shape = "SignalFilterBankSpectralSubtraction", ((n,), "uint32")
    return SignalForm(name, [shape], [shape, shape], options)


FORMS = [
    form(40, (409, 983), 14, 10),
    form(41, (409, 983), 14, 10, clamping=True),
    form(1, (1 << 29, 3), 30, 31),
    form(5, (0, 1), 1, 0, clamping=True),
]


def test_against_tflm() -> None:
    check(*FORMS, steps=8, digest="05395837f49f8140")
