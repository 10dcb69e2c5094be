#!/usr/bin/env bash
# skl2onnx: isotonic calibration becomes a step function; scikit-learn interpolates.
#
# One would expect CalibratedClassifierCV(method="isotonic") to give the same probabilities after conversion.
# What happens (skl2onnx 1.20.0, scikit-learn 1.9.1, onnxruntime 1.31.1): IsotonicRegression draws straight lines between its
# thresholds, the converted graph takes the value of a threshold nearby. Where samples lie between two thresholds that are far
# apart the probability is that of one of them: of 400 inputs 55 differ, by up to 0.06, and nothing is said.
#
# Output seen:
#   different values: scikit-learn 71, onnxruntime 14
#   differ by more than 0.001: 55 of 400, by up to 0.06
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check scikit-learn==1.9.1 skl2onnx==1.20.0 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(0)
x = rng.normal(size=(200, 1)).astype(np.float32)
labels = (x[:, 0] + rng.normal(size=200) > 0).astype(int)
model = CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2).fit(x, labels)
converted = to_onnx(model, x[:1], options={"zipmap": False})
session = onnxruntime.InferenceSession(converted.SerializeToString())
queries = np.linspace(-2, 2, 400, dtype=np.float32)[:, None]
expected = model.predict_proba(queries)[:, 1]
seen = session.run(None, {"X": queries})[1][:, 1]
distances = np.abs(expected - seen)
print(f"different values: scikit-learn {len(set(expected.round(5).tolist()))}, onnxruntime {len(set(seen.round(5).tolist()))}")
print(f"differ by more than 0.001: {int((distances > 0.001).sum())} of 400, by up to {distances.max():.2f}")
sys.exit(not ((distances > 0.001).sum() > 10 and distances.max() > 0.02 and np.median(distances) < 1e-5))
PYTHON
