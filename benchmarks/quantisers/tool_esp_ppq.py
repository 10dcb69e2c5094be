"""esp-ppq, for the ESP32 and for its other targets, exported as QDQ: always opset 13, whatever it was given."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from common import Net, run
from esp_ppq import QuantizationSettingFactory, TargetPlatform
from esp_ppq.api import export_ppq_graph, quantize_onnx_model

SETTINGS = {
    "esp_int8": TargetPlatform.ESPDL_INT8,
    "esp_int16": TargetPlatform.ESPDL_INT16,
    "esp_s3_int8": TargetPlatform.ESPDL_S3_INT8,
    "trt_int8": TargetPlatform.TRT_INT8,
    "openvino_int8": TargetPlatform.OPENVINO_INT8,
    "ppl_int8": TargetPlatform.PPL_CUDA_INT8,
}


def quantise(net: Net, setting: TargetPlatform, path: Path) -> None:
    samples = [torch.from_numpy(sample[None]) for sample in net.calibration[:16]]
    graph = quantize_onnx_model(
        str(net.folder / "opset13" / net.model.name), samples, len(samples), list(samples[0].shape), setting,
        setting=QuantizationSettingFactory.default_setting(), device="cpu",
    )  # fmt: skip
    export_ppq_graph(graph, TargetPlatform.ONNXRUNTIME, str(path))


if __name__ == "__main__":
    sys.exit(run("esp_ppq", SETTINGS, quantise))
