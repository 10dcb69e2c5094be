"""QDQ models that onnxruntime.quantization makes of the real float models: every quantised tensor, bit for bit.

The oracle is the reference evaluator with exact sums (`onnx_oracle`). The plain one, with float32 sums in NumPy's own
order, is off by one in a few hidden values per million, and then sometimes in an output.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.onnx_builder import check_model
from tinycompile.frontend.onnx_file import read_proto

ort = pytest.importorskip("onnxruntime.quantization", reason="needs onnxruntime")

INPUTS = {
    "ic_resnet8": ((32, 32, 3), 0, 255),
    "kws_dscnn": ((49, 10, 1), -60, 60),
    "vww_mobilenet": ((96, 96, 3), 0, 1),
    "ad_autoencoder": ((640,), -2, 2),
}
KINDS = {
    "int8 per channel": ("QInt8", "QInt8", True),
    "uint8": ("QUInt8", "QInt8", False),
    "uint8 weights": ("QUInt8", "QUInt8", False),
}


def samples(model: str, count: int, seed: int) -> np.ndarray:
    shape, low, high = INPUTS[model]
    return np.random.default_rng(seed).uniform(low, high, (count, *shape)).astype(np.float32)


class Reader(ort.CalibrationDataReader):
    def __init__(self, model: str) -> None:
        self.rows = iter(samples(model, 8, 0))

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {"input_1": row[None]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", INPUTS)
def test_bit_exact(model: str, kind: str, shared: Callable[[str], Path], tmp_path: Path) -> None:
    prepared, quantized = tmp_path / "prepared.onnx", tmp_path / "quantized.onnx"
    ort.shape_inference.quant_pre_process(shared(f"models/{model}.onnx"), prepared, skip_symbolic_shape=True)
    activations, weights, per_channel = KINDS[kind]
    ort.quantize_static(
        prepared,
        quantized,
        Reader(model),
        quant_format=ort.QuantFormat.QDQ,
        activation_type=ort.QuantType[activations],
        weight_type=ort.QuantType[weights],
        per_channel=per_channel,
    )
    proto = read_proto(quantized)
    for x in samples(model, 3, 1):
        check_model(proto, {"input_1": x[None]})
