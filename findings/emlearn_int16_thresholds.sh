#!/usr/bin/env bash
# emlearn 0.23.2: a tree with dtype int16_t is another tree: thresholds are cut off, and <= becomes <.
#
# Expected: scikit-learn puts thresholds between values (x <= 0.5 tells 0 from 1). For features that are integers an int16 tree can
# be exact: x <= 0, or x < 1. emlearn offers int16_t for speed on small cores, and the features need no scaling here.
# Seen: x <= 0.5 is written as x < 0, 1.5 as x < 1: every test is one too low. A tree that tells odd numbers from even ones, right
# for float, is wrong for three of four numbers; a forest loses accuracy without a word. Inline and loadable form alike.
#
# Output seen (0, 1, 2, 3):
#   scikit-learn       0 1 0 1
#   inline float       0 1 0 1
#   inline int16_t     1 0 1 1
#   loadable int16_t   1 0 1 1
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
from sklearn.tree import DecisionTreeClassifier

x, odd = np.array([[0], [1], [2], [3]]), [0, 1, 0, 1]
tree = DecisionTreeClassifier(random_state=0).fit(x, odd)


def shown(name, classes):
    print(f"{name:18}", *classes)
    return [int(each) for each in classes]


found = [shown("scikit-learn", tree.predict(x))]
for method, dtype in (("inline", "float"), ("inline", "int16_t"), ("loadable", "int16_t")):
    found.append(shown(f"{method} {dtype}", emlearn.convert(tree, method=method, dtype=dtype).predict(x)))
raise SystemExit(0 if found == [odd, odd, [1, 0, 1, 1], [1, 0, 1, 1]] else 1)
PYTHON
