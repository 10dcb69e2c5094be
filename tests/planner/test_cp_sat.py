"""The solver without pandas, in a process of its own: what other code imports is whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
{before}
from tinycompile.planner.cp_sat import cp_model

cp = cp_model()
model = cp.CpModel()
x, y = model.new_int_var(0, 9, "x"), model.new_int_var(0, 9, "y")
model.add(x + 2 * y >= 7)
model.minimize(3 * x + y)
solver = cp.CpSolver()
assert solver.solve(model) == cp.OPTIMAL
assert solver.value(3 * x + y) == 4
assert ("pandas" in sys.modules) == {imported}, "pandas"

import pandas
from ortools.sat.python import cp_model as whole

series = whole.CpModel().new_int_var_series("x", pandas.Index(["a", "b"]), 0, 1)
assert isinstance(series, pandas.Series) and len(series) == 2
"""


@pytest.mark.parametrize(
    ("before", "imported"),
    [("", False), ("import pandas", True), ("from ortools.sat.python import cp_model", True)],
)
def test_solver_and_pandas_live_together(before: str, imported: bool) -> None:
    program = PROGRAM.format(before=before, imported=imported)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
