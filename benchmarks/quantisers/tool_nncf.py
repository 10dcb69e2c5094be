"""nncf's post-training quantisation of ONNX models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nncf
import onnx
from common import Net, run

SETTINGS: dict[str, dict[str, Any]] = {
    "performance": {"preset": nncf.QuantizationPreset.PERFORMANCE},
    "mixed": {"preset": nncf.QuantizationPreset.MIXED},
    "npu": {"target_device": nncf.TargetDevice.NPU},
    "no_bias_correction": {"fast_bias_correction": True, "subset_size": 16},
}


def quantise(net: Net, setting: dict[str, Any], path: Path) -> None:
    data = nncf.Dataset(list(net.calibration), lambda sample: {"x": sample[None]})
    model = onnx.load(net.model)
    onnx.save(nncf.quantize(model, data, **{"subset_size": 64, **setting}), path)


if __name__ == "__main__":
    sys.exit(run("nncf", SETTINGS, quantise))
