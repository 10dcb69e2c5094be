#!/usr/bin/env bash
# skl2onnx: no HistGradientBoosting model of a current scikit-learn converts, though the list of converters has both.
#
# One would expect a tree ensemble: the classifier and the regressor are in skl2onnx' list of supported models.
# What happens (skl2onnx 1.20.0, scikit-learn 1.9.1, onnx 1.23.2): the node's attributes are handed over as NumPy's
# unsigned integers beside Python's, for which onnx finds no type of attribute; both raise ValueError before a file
# is written.
# GradientBoosting of the same data converts.
#
# Output seen:
#   GradientBoostingRegressor: converted
#   HistGradientBoostingRegressor: ValueError
#   HistGradientBoostingClassifier: ValueError
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check \
  numpy==2.4.0 scipy==1.17.1 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.31.1 skl2onnx==1.20.0 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import skl2onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

measured, classes = load_iris(return_X_y=True)
measured = measured.astype(np.float32)
outcomes = []
for model in (
    GradientBoostingRegressor(n_estimators=3),
    HistGradientBoostingRegressor(max_iter=3),
    HistGradientBoostingClassifier(max_iter=3),
):
    try:
        skl2onnx.to_onnx(model.fit(measured, classes), measured[:1])
        outcomes.append("converted")
    except ValueError:
        outcomes.append("ValueError")
    print(f"{type(model).__name__}: {outcomes[-1]}")
sys.exit(outcomes != ["converted", "ValueError", "ValueError"])
PYTHON
