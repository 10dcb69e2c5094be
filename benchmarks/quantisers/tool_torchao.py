"""torchao's PT2E quantisation, exported by torch.onnx.export."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer as x86
from common import Net, run
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config


def xnnpack(per_channel: bool) -> Any:
    return XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=per_channel))


def inductor() -> Any:
    return x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())


SETTINGS: dict[str, tuple[Callable[[], Any], int]] = {
    "xnnpack": (lambda: xnnpack(False), 18),
    "xnnpack_channel": (lambda: xnnpack(True), 18),
    "xnnpack_channel_21": (lambda: xnnpack(True), 21),
    "x86": (inductor, 18),
}


def quantise(net: Net, setting: tuple[Callable[[], Any], int], path: Path) -> None:
    quantiser, opset = setting
    batch = torch.from_numpy(net.calibration)
    module = torch.export.export(net.module(), (batch[:1],)).module()
    prepared = prepare_pt2e(module, quantiser())
    with torch.no_grad():
        for index in range(len(batch)):
            prepared(batch[index : index + 1])
    converted = convert_pt2e(prepared)
    torch.onnx.export(
        converted, (batch[:1],), str(path), input_names=["x"], output_names=["y"],
        opset_version=opset, dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(run("torchao", SETTINGS, quantise))
