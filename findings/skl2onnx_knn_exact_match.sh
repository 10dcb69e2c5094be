#!/usr/bin/env bash
# skl2onnx: nearest neighbours weighted by distance mix the neighbours where a query is one of the training points.
#
# One would expect what scikit-learn documents: a training point at distance 0 has all the weight, so a query that was
# trained on gives its own target.
# What happens (skl2onnx 1.20.0, scikit-learn 1.9.1, onnxruntime 1.31.1): the converted graph of
# KNeighborsRegressor(2, weights="distance") answers such queries with the mean of both neighbours; all other queries agree.
# The classifier's probabilities are 0.5 and 0.5 in the same places.
#
# Output seen:
#   queries       [0.0, 1.0, 2.0, 0.5]
#   scikit-learn  [0.0, 10.0, 20.0, 5.0]
#   onnxruntime   [5.0, 5.0, 20.0, 5.0]
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
from sklearn.neighbors import KNeighborsRegressor

places = np.array([[0.0], [1.0], [3.0]], np.float32)
regressor = KNeighborsRegressor(2, weights="distance").fit(places, [0.0, 10.0, 30.0])
session = onnxruntime.InferenceSession(to_onnx(regressor, places[:1]).SerializeToString())
queries = np.array([[0.0], [1.0], [2.0], [0.5]], np.float32)
expected = regressor.predict(queries).round(5).tolist()
seen = session.run(None, {"X": queries})[0].ravel().round(5).tolist()
print("queries      ", queries.ravel().tolist())
print("scikit-learn ", expected)
print("onnxruntime  ", seen)
sys.exit(expected != [0.0, 10.0, 20.0, 5.0] or seen != [5.0, 5.0, 20.0, 5.0])
PYTHON
