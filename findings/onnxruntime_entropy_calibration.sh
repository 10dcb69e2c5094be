#!/usr/bin/env bash
# onnxruntime 1.31.1: calibration by entropy never clips: with its own settings it compares one range, the widest, with nothing.
#
# Expected: CalibrationMethod.Entropy looks for the range with the least Kullback-Leibler divergence (TensorRT's way) and leaves
# rare large values out of it; it takes long enough that one believes so.
# Seen: the histogram has 128 bins, and the candidates begin at 128 quantised bins: there is one candidate, all of the histogram
# (more only where samples are collected in several goes and later ones are larger, which quantize_static doesn't do by itself).
# The scales are those of MinMax to the last bit but for values that have one sign, where the range is made symmetric first.
# A histogram of 2,048 bins, which quantize_static offers no option for, clips the same values. A comparison of quantisers that
# lists "entropy" as a method of its own measured MinMax twice.
#
# Output seen:
#   MinMax       -3.9 .. 60.0
#   Entropy      -3.9 .. 60.0
#   2,048 bins   -3.9 .. 4.3
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 sympy==1.14.0 2>/dev/null
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
from onnx import TensorProto, helper
from onnxruntime.quantization.calibrate import (
    CalibrationDataReader,
    CalibrationMethod,
    EntropyCalibrater,
    create_calibrator,
)

values = np.random.default_rng(0).standard_normal((16, 512)).astype(np.float32)
values[3, 7] = 60.0  # one value in 8,192
node = helper.make_node("Relu", ["x"], ["y"])
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 512]) for name in "xy")
opset = [helper.make_opsetid("", 17)]
onnx.save(helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=opset, ir_version=8), "model.onnx")


class Samples(CalibrationDataReader):
    def __init__(self):
        self.rest = iter(values)

    def get_next(self):
        sample = next(self.rest, None)
        return None if sample is None else {"x": sample[None]}


def found(name, calibrater):
    calibrater.collect_data(Samples())
    low, high = (np.asarray(end).item() for end in calibrater.compute_data().data["x"].range_value)
    print(f"{name:12}", f"{low:.1f} .. {high:.1f}")
    return low, high


widest = found("MinMax", create_calibrator("model.onnx", calibrate_method=CalibrationMethod.MinMax))
entropy = found("Entropy", create_calibrator("model.onnx", calibrate_method=CalibrationMethod.Entropy))
finer = EntropyCalibrater("model.onnx", num_bins=2048)
finer.augment_graph()
finer.create_inference_session()
clipped = found("2,048 bins", finer)
raise SystemExit(0 if np.allclose(widest, entropy) and clipped[1] < 10 else 1)
PYTHON
