#!/usr/bin/env bash
# emlearn 0.23.2: float thresholds and leaves of trees are written with six decimals, so small numbers become others, or 0.
#
# Expected: dtype="float" is the tree in single precision: about seven significant digits, whatever unit a feature has.
# Seen: the number of digits behind the point is fixed ("%.6f"). With features around 1e-6 (amperes, metres, seconds, volts
# of a sensor) thresholds keep one digit, with features around 1e-7 all are 0.000000f and every sample takes the same branch.
# A regressor's leaves are written the same way: targets around 1e-7 are predicted as 0. No message, and for data in other units
# (or scaled by StandardScaler) nothing shows. With method="loadable" leaves are exact, but features must be int16 there.
#
# Output seen (iris in other units; share of equal classes, largest relative error of the regressor's predictions):
#   unit    classifier   regressor
#   1e+00   1            0.000
#   1e-04   1            0.008
#   1e-06   0.953        1.000
#   1e-07   0.667        1.000
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check emlearn==0.23.2 scikit-learn==1.9.1 numpy==2.4.6 2>/dev/null
cd "$folder"
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import emlearn
import numpy as np
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

x, y = load_iris(return_X_y=True)


def predicted(model, rows):
    return np.asarray(emlearn.convert(model, method="inline", dtype="float").predict(rows)).ravel()


found = {}
print("unit    classifier   regressor")
for unit in (1, 1e-4, 1e-6, 1e-7):
    rows, widths = (x * unit).astype(np.float32), x[:, 3] * unit
    classifier = DecisionTreeClassifier(random_state=0).fit(rows, y)
    regressor = DecisionTreeRegressor(random_state=0, max_depth=3).fit(x, widths)
    equal = (predicted(classifier, rows) == classifier.predict(rows)).mean()
    error = np.abs(predicted(regressor, x) / regressor.predict(x) - 1).max()
    found[unit] = equal, error
    print(f"{unit:<7.0e} {equal:<12.3g} {error:.3f}")
right = found[1][0] == 1 and found[1][1] < 1e-5
lost = found[1e-6][0] < 1 and found[1e-7][0] < 0.7 and found[1e-7][1] == 1
raise SystemExit(0 if right and lost else 1)
PYTHON
