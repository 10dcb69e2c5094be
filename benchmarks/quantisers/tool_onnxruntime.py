"""onnxruntime's static quantiser, after its own shape inference and optimisation."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from common import Net, Reader, run
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

SETTINGS: dict[str, dict[str, Any]] = {
    "qdq": {},
    "qdq_channel": {"per_channel": True},
    "qdq_uint8": {"activation_type": QuantType.QUInt8},
    "qdq_weights_uint8": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8},
    "qdq_symmetric": {"per_channel": True, "extra_options": {"ActivationSymmetric": True, "WeightSymmetric": True}},
    "qdq_percentile": {"per_channel": True, "calibrate_method": CalibrationMethod.Percentile},
    "qdq_int16": {"activation_type": QuantType.QInt16, "per_channel": True},
    "qdq_uint16": {"activation_type": QuantType.QUInt16},
    "qdq_int4": {"weight_type": QuantType.QInt4},
    "qdq_uint4": {"weight_type": QuantType.QUInt4, "activation_type": QuantType.QUInt8},
    "qdq_bias_float": {"per_channel": True, "extra_options": {"QuantizeBias": False}},
    "qdq_pairs": {"extra_options": {"DedicatedQDQPair": True, "AddQDQPairToWeight": True}},
    "qdq_forced": {"extra_options": {"ForceQuantizeNoInputCheck": True}},
    "qoperator": {"quant_format": QuantFormat.QOperator},
    "qoperator_channel": {"quant_format": QuantFormat.QOperator, "per_channel": True},
    "qoperator_uint8": {"quant_format": QuantFormat.QOperator, "activation_type": QuantType.QUInt8},
}


def quantise(net: Net, setting: dict[str, Any], path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(net.model), str(prepared), auto_merge=True)
        quantize_static(str(prepared), str(path), Reader(net), **{"quant_format": QuantFormat.QDQ, **setting})


if __name__ == "__main__":
    sys.exit(run("onnxruntime", SETTINGS, quantise))
