"""litert-torch converts the PyTorch module, litert-quantizer makes int8 of it: `.tflite` files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import litert_torch
import torch
from common import Net, run
from litert_quantizer import quantizer, recipe

SETTINGS: Mapping[str, Any] = {"static_wi8_ai8": recipe.static_wi8_ai8}


def quantise(net: Net, setting: Any, path: Path) -> None:
    samples = net.calibration
    source = path.with_suffix(".float.tflite")
    with torch.no_grad():
        litert_torch.convert(net.module(), (torch.from_numpy(samples[:1]),)).export(str(source))
    try:
        tool = quantizer.Quantizer(str(source), setting())
        result = tool.calibrate({"serving_default": [{"args_0": each[None]} for each in samples]})
        tool.quantize(result).export_model(str(path), overwrite=True)
    finally:
        source.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(run("litert_quantizer", SETTINGS, quantise, "tflite"))
