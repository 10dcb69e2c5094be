#!/usr/bin/env bash
# OR-Tools' CP-SAT: after a solve that has long finished, Ctrl-C no longer reaches Python.
#
# One would expect that a solver which handles SIGINT while it searches puts the handler back that it found, so that
# Ctrl-C raises KeyboardInterrupt again afterwards; signal.getsignal() indeed still names Python's own handler.
# What happens (ortools 9.15.6755, Python 3.11, Linux): the C library's handler is left at the default action, so the next
# SIGINT ends the process at once: no exception, no `finally`, no clean-up of temporary files, exit status -2.
# With the parameter catch_sigint_signal = False the handler stays Python's.
#
# Output seen:
#   default parameters: default_int_handler, exit status -2
#   catch_sigint_signal off: default_int_handler KeyboardInterrupt, exit status 0
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ortools==9.15.6755 2>/dev/null
cat >"$work/solve.py" <<'PYTHON'
import os
import signal
import sys
import time

from ortools.sat.python import cp_model

model = cp_model.CpModel()
x = model.new_int_var(0, 9, "x")
model.maximize(x)
solver = cp_model.CpSolver()
if sys.argv[1] == "off":
    solver.parameters.catch_sigint_signal = False
assert solver.solve(model) == cp_model.OPTIMAL
print(signal.getsignal(signal.SIGINT).__name__, end=" ", flush=True)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.5)
except KeyboardInterrupt:
    print("KeyboardInterrupt")
PYTHON
cat >"$work/both.py" <<'PYTHON'
import subprocess
import sys

seen = [subprocess.run([sys.executable, sys.argv[1], how], stdout=subprocess.PIPE, text=True) for how in ("default", "off")]
for how, run in zip(("default parameters", "catch_sigint_signal off"), seen):
    print(f"{how}: {run.stdout.strip()}, exit status {run.returncode}")
expected = [("default_int_handler", -2), ("default_int_handler KeyboardInterrupt", 0)]
sys.exit([(run.stdout.strip(), run.returncode) for run in seen] != expected)
PYTHON
"$work/venv/bin/python" "$work/both.py" "$work/solve.py"
