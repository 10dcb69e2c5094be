#!/usr/bin/env bash
# emlearn 0.23.2: after `import emlearn`, scikit-learn fails on data that it fits well without.
#
# Expected: importing a converter changes nothing about how models are trained.
# Seen: emlearn's module for naive Bayes calls numpy.seterr(all="raise") at its top, and the package imports it. From then on every
# NumPy operation of the process raises FloatingPointError where a number becomes too small for a float, which is harmless
# and happens in many an exp or softmax: logistic regression on wine and a Gaussian mixture on iris, among scikit-learn's first
# examples, end with "underflow encountered". Training and converting in one script is emlearn's documented way.
# Way out: numpy.seterr(all="warn", under="ignore"), NumPy's own setting, behind the import.
#
# Output seen:
#                                  LogisticRegression, wine               GaussianMixture, iris
#   before import emlearn          fits                                   fits
#   after import emlearn           underflow encountered in divide        underflow encountered in exp
#   NumPy's own setting again      fits                                   fits
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check emlearn==0.23.2 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
from sklearn.datasets import load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture


def outcome(fit):
    try:
        fit()
    except FloatingPointError as error:
        return str(error)
    return "fits"


def both(when):
    x, y = load_wine(return_X_y=True)
    flowers, _ = load_iris(return_X_y=True)
    mixture = GaussianMixture(2, covariance_type="diag", random_state=0)
    found = [outcome(lambda: LogisticRegression().fit(x, y)), outcome(lambda: mixture.fit(flowers).predict_proba(flowers))]
    print(f"{when:30} {found[0]:38} {found[1]}")
    return [each == "fits" for each in found]


print(f"{'':30} {'LogisticRegression, wine':38} GaussianMixture, iris")
before = both("before import emlearn")
import emlearn  # noqa: E402, F401

after = both("after import emlearn")
np.seterr(all="warn", under="ignore")
again = both("NumPy's own setting again")
raise SystemExit(0 if all(before) and not any(after) and all(again) else 1)
PYTHON
