"""Brevitas: PyTorch modules with quantised layers, exported as integer weights, Clip and DequantizeLinear."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import torch
from brevitas.export import export_onnx_qcdq
from brevitas.graph.calibrate import calibration_mode
from brevitas.graph.quantize import COMPUTE_LAYER_MAP, QUANT_ACT_MAP, preprocess_for_quantize, quantize
from brevitas.quant import Int8Bias, Int8WeightPerChannelFloat, Int32Bias
from common import Net, run
from torch import nn

LAYERS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "channel": {"weight_quant": Int8WeightPerChannelFloat},
    "weights4": {"weight_bit_width": 4, "weight_quant": Int8WeightPerChannelFloat},
    "weights2": {"weight_bit_width": 2},
    "activations4": {"act_bit_width": 4},
    "bias8": {"bias_quant": Int8Bias},
    "bias32": {"bias_quant": Int32Bias},
}


def maps(setting: dict[str, Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Brevitas' layers with the setting's options."""
    layers, activations = copy.deepcopy(COMPUTE_LAYER_MAP), copy.deepcopy(QUANT_ACT_MAP)
    options = {k: v for k, v in setting.items() if k in ("weight_quant", "weight_bit_width", "bias_quant")}
    for layer in LAYERS:
        if layers.get(layer):
            layers[layer][1].update(options)
            if "bias_quant" not in options:
                layers[layer][1]["bias_quant"] = None
    for entry in activations.values():
        if entry and "act_bit_width" in setting:
            entry[1]["bit_width"] = setting["act_bit_width"]
    return layers, activations


def quantise(net: Net, setting: dict[str, Any], path: Path) -> None:
    batch = torch.from_numpy(net.calibration)
    layers, activations = maps(setting)
    module = preprocess_for_quantize(net.module(), relu6_to_relu=False)
    module = quantize(module, compute_layer_map=layers, quant_act_map=activations).eval()
    with torch.no_grad(), calibration_mode(module):
        module(batch)
    module.eval()
    with torch.no_grad():
        module(batch[:1])
    export_onnx_qcdq(module, batch[:1], export_path=str(path), opset_version=13, dynamo=False)


if __name__ == "__main__":
    sys.exit(run("brevitas", SETTINGS, quantise))
