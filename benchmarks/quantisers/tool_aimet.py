"""AIMET's quantisation simulation of ONNX models, exported as QDQ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import aimet_onnx
import onnx
from aimet_onnx import quantsim
from common import Net, run

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "weights_folded": {"export": {"prequantize_constants": True}},
    "bias32": {"export": {"export_int32_bias": True, "prequantize_constants": True}},
    "signed": {"export": {"force_activation_as": "signed"}},
    "htp_channel": {"config_file": "htp_v73"},
    "w8a16": {"activation_type": aimet_onnx.int16, "export": {"prequantize_constants": True}},
    "w4a8": {"param_type": aimet_onnx.int4, "export": {"prequantize_constants": True}},
    "blocks4": {"block_size": 4, "export": {"prequantize_constants": True}},
}


def quantise(net: Net, setting: dict[str, Any], path: Path) -> None:
    options = {k: v for k, v in setting.items() if k not in ("export", "block_size")}
    sim = aimet_onnx.QuantizationSimModel(onnx.load(net.model), **options)
    if "block_size" in setting:
        quantsim.set_blockwise_quantization_for_weights(sim, ("Conv", "Gemm", "MatMul"), 4, True, setting["block_size"])
    sim.compute_encodings([{"x": sample[None]} for sample in net.calibration])
    onnx.save(sim.to_onnx_qdq(**setting.get("export", {})), path)


if __name__ == "__main__":
    sys.exit(run("aimet", SETTINGS, quantise))
