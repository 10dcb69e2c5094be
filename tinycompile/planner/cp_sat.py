"""OR-Tools' constraint solver CP-SAT, imported without pandas.

`ortools.sat.python.cp_model` imports pandas for functions on tables, none of which the planner calls, and that takes
longer than the solver works on most models (0.3 s of 1.8 s for a whole build of MLPerf Tiny's keyword spotting). So it
is imported with a stand-in; the copy is ours alone, so that a program that uses both gets OR-Tools whole.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from types import ModuleType
from typing import Any

_NAME = "ortools.sat.python.cp_model"


@cache
def cp_model() -> Any:
    """The module `ortools.sat.python.cp_model`; its functions on tables may be missing."""
    if _NAME in sys.modules or "pandas" in sys.modules:
        return importlib.import_module(_NAME)
    package = importlib.import_module("ortools.sat.python")
    stand_in: Any = ModuleType("pandas")
    stand_in.Index, stand_in.Series = type("Index", (), {}), type("Series", (), {})
    sys.modules["pandas"] = stand_in
    try:
        return importlib.import_module(_NAME)
    except AttributeError:  # a version that needs more of pandas than its types
        del sys.modules["pandas"]
        return importlib.import_module(_NAME)
    finally:
        if sys.modules.get("pandas") is stand_in:
            del sys.modules["pandas"]
            sys.modules.pop(_NAME, None)
            vars(package).pop("cp_model", None)
