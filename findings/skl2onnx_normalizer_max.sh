#!/usr/bin/env bash
# skl2onnx: scikit-learn's Normalizer(norm="max") gives other values as ONNX for rows whose largest magnitude is negative.
#
# One would expect the converted pipeline to compute what scikit-learn does: each row divided by its largest absolute value.
# What happens (skl2onnx 1.20.0, scikit-learn 1.9.1, onnxruntime 1.31.1): the operator Normalizer of ai.onnx.ml with norm MAX
# divides by the largest value, so (-4, 2, 1) becomes (-2, 1, 0.5) instead of (-1, 0.5, 0.25), and a row of negative numbers
# changes its signs. Neither the conversion nor the runtime says a word; "l1" and "l2" agree.
#
# Output seen:
#   scikit-learn  [[-1.0, 0.5, 0.25], [0.25, 0.5, 1.0], [-0.25, -0.5, -1.0]]
#   onnxruntime   [[-2.0, 1.0, 0.5], [0.25, 0.5, 1.0], [1.0, 2.0, 4.0]]
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
from sklearn.preprocessing import Normalizer

rows = np.array([[-4, 2, 1], [1, 2, 4], [-1, -2, -4]], np.float32)
normalizer = Normalizer(norm="max").fit(rows)
session = onnxruntime.InferenceSession(to_onnx(normalizer, rows[:1]).SerializeToString())
expected, seen = normalizer.transform(rows).tolist(), session.run(None, {"X": rows})[0].tolist()
print("scikit-learn ", expected)
print("onnxruntime  ", seen)
sys.exit(
    expected != [[-1.0, 0.5, 0.25], [0.25, 0.5, 1.0], [-0.25, -0.5, -1.0]]
    or seen != [[-2.0, 1.0, 0.5], [0.25, 0.5, 1.0], [1.0, 2.0, 4.0]]
)
PYTHON
