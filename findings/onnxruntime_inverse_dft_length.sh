#!/usr/bin/env bash
# onnxruntime 1.31.1: a one-sided inverse DFT is wrong for most lengths other than the spectrum's own.
#
# Expected: dft_length cuts or zero-pads what is transformed (ONNX's DFT), so n samples are made of the first n // 2 + 1 bins, zeros where there are
# fewer, as numpy.fft.irfft(x, n) and onnx's reference evaluator do. That is how a spectrum becomes a signal of another rate.
# Seen: right for the spectrum's own length (8 of 5 bins) and odd ones beyond. For fewer samples, bins are used
# that should be left out; for more, if even, the last bin counts once, as if it were still the highest frequency, instead of twice.
#
# Output seen (a spectrum of 5 bins; largest difference from NumPy):
#   samples   onnxruntime   evaluator
#   3         0.392         0.000
#   4         0.263         0.000
#   8         0.000         0.000
#   9         0.000         0.000
#   10        0.142         0.000
#   11        0.000         0.000
#   16        0.079         0.000
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

X = np.random.default_rng(0).normal(size=(1, 5, 2)).astype(np.float32)
wrong = {}
print("samples   onnxruntime   evaluator")
for samples in (3, 4, 8, 9, 10, 11, 16):
    constants = {"length": np.array(samples, np.int64), "axis": np.array(1, np.int64)}
    graph = helper.make_graph(
        [helper.make_node("DFT", ["x", "length", "axis"], ["y"], onesided=1, inverse=1)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, samples, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    checker.check_model(model, full_check=True)
    right = np.fft.irfft(X[0, :, 0] + 1j * X[0, :, 1], n=samples)
    runs = onnxruntime.InferenceSession(model.SerializeToString()).run, ReferenceEvaluator(model).run
    errors = [float(np.abs(run(None, {"x": X})[0].ravel() - right).max()) for run in runs]
    print(f"{samples:<9} {errors[0]:<13.3f} {errors[1]:.3f}")
    wrong[samples] = [error > 1e-3 for error in errors]
raise SystemExit(wrong != {samples: [samples in (3, 4, 10, 16), False] for samples in wrong})
PYTHON
