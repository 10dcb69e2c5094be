#!/usr/bin/env bash
# skl2onnx: the labels of SGDClassifier(loss="modified_huber") with three classes or more aren't scikit-learn's.
#
# One would expect that a converted classifier predicts scikit-learn's class, as it does for other losses.
# What happens (skl2onnx 1.20.0, scikit-learn 1.9.1): scikit-learn takes the class of the largest score. The converted
# graph takes the class of the largest probability, and this loss clips probabilities to 0 and 1 before: several classes
# tie at 1 (or all at 0), and the first of them wins. On iris the file is right for 69 % of the flowers, the model
# for 94 %; with log_loss and hinge both agree.
#
# Output seen:
#   loss             scikit-learn   ONNX    other labels
#   log_loss         0.953          0.953   0
#   modified_huber   0.940          0.693   39
#   hinge            0.960          0.960   0
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
import onnxruntime
import skl2onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import SGDClassifier

onnxruntime.set_default_logger_severity(3)
measured, classes = load_iris(return_X_y=True)
measured = ((measured - measured.mean(0)) / measured.std(0)).astype(np.float32)
different = {}
print("loss             scikit-learn   ONNX    other labels")
for loss in ("log_loss", "modified_huber", "hinge"):
    classifier = SGDClassifier(loss=loss, random_state=0).fit(measured, classes)
    model = skl2onnx.to_onnx(classifier, measured[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    labels = session.run(None, {session.get_inputs()[0].name: measured})[0]
    different[loss] = int(np.sum(labels != classifier.predict(measured)))
    print(f"{loss:17}{classifier.score(measured, classes):<15.3f}{np.mean(labels == classes):<8.3f}{different[loss]}")
sys.exit(not (different["log_loss"] == different["hinge"] == 0 and different["modified_huber"] > 20))
PYTHON
