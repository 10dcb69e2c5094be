"""What a trained network reaches as int8."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from tinycompile.errors import QuantizationWarning
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.quantize import quantize
from tinycompile.search.data import CALIBRATION, Part, save_calibration, save_labelled


def quantized(proto: Any, part: Part, judged: Part, stem: Path) -> tuple[Any, float]:
    """(int8 model that `quantize` makes, its accuracy).

    Args:
        part: samples to calibrate with. stem: of temporary files.
    """
    model, calib, samples = (stem.with_suffix(suffix) for suffix in (".onnx", ".calib.npz", ".judged.npz"))
    onnx_module().save(proto, str(model))
    part, judged = part.seen_by(proto), judged.seen_by(proto)
    save_calibration(calib, part, CALIBRATION)
    save_labelled(samples, judged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        found = quantize(model, calib, evaluation=samples)
    for file in (model, calib, samples):
        file.unlink()
    if found.accuracy is None:
        raise AssertionError("labelled samples give an accuracy")
    return found.proto, found.accuracy.int8_value
