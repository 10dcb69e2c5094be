"""AMD Quark's ONNX quantiser, by its named configurations."""

from __future__ import annotations

import sys
from pathlib import Path

from common import Net, Reader, run
from quark.onnx import ModelQuantizer
from quark.onnx.quantization.config import Config
from quark.onnx.quantization.config.custom_config import get_default_config

SETTINGS = ("XINT8", "A8W8", "S8S8_AAWS", "U8S8_AAWS", "U8U8_AAWA", "A16W8", "S16S8_ASWS", "U16S8_AAWS", "VINT8")


def quantise(net: Net, setting: str, path: Path) -> None:
    config = Config(global_quant_config=get_default_config(setting))
    ModelQuantizer(config).quantize_model(str(net.model), str(path), Reader(net))


if __name__ == "__main__":
    sys.exit(run("quark", {name: name for name in SETTINGS}, quantise))
