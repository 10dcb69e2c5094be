"""The committed figures: complete, those of the code, and what the table shows."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tinycompile
from benchmarks import operators
from benchmarks.cases import MODELS, SCHEDULES, TARGETS, cases
from benchmarks.readme import README, updated
from benchmarks.run import changes, conditions, figures
from benchmarks.table import markdown
from tests.conftest import ROOT

FOLDER = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return json.loads((FOLDER / "results.json").read_text())


def test_every_case_has_a_row_or_is_listed_as_missing(results: dict[str, Any]) -> None:
    found = [(r["model"], r["target"], r["schedule"], r["optimize"]) for r in results["rows"]]
    wanted = [case.key for case in cases(MODELS, tuple(TARGETS), SCHEDULES)]
    assert found == [key for key in wanted if key in found]
    missing = [" ".join(key) for key in wanted if key not in found]
    table = (FOLDER / "results.md").read_text()
    assert ("Not measured yet" in table) == bool(missing)
    assert all(key in table for key in missing)
    assert len(missing) < len(wanted) // 10
    assert all("error" in row or row["instructions"] > 0 for row in results["rows"])


def test_the_table_is_that_of_the_results(results: dict[str, Any]) -> None:
    peers = json.loads((FOLDER / "peers.json").read_text())
    assert (FOLDER / "results.md").read_text() == markdown(results, peers), "run make bench"


def test_the_table_of_operators_is_that_of_its_figures() -> None:
    """And no operator costs more than 12 instructions an element where TFLM's costs less."""
    ours, peers = (json.loads((FOLDER / f"operators{part}.json").read_text()) for part in ("", "_peers"))
    assert (FOLDER / "operators.md").read_text() == operators.markdown(ours, peers), "run make bench-operators"
    for dtype, theirs in peers["types"].items():
        figures = ours["types"][dtype]["M7"]
        assert [label for label, other in theirs.items() if figures[label] > max(12, other)] == []


def test_the_readme_has_the_results() -> None:
    assert README.read_text() == updated(README.read_text()), "run python -m benchmarks.readme"


@pytest.mark.parametrize("target", ["mps2-an386", "mps2-an500"])
def test_results_are_those_of_a_fresh_build(
    target: str, results: dict[str, Any], shared: Callable[[str], Path], tmp_path: Path
) -> None:
    """Arena and constants with every compiler; instructions and code with the one that they were measured with."""
    pytest.importorskip("capstone", reason="profile needs Capstone")
    (row,) = (r for r in results["rows"] if (r["model"], r["target"], r["schedule"], r["optimize"]) == _case(target))
    build = tinycompile.compile(
        shared("models/ad01_int8.tflite"), target=target, output=tmp_path / "out", optimize="speed", schedule="layer"
    )
    fresh = figures(build)
    assert fresh["macs"] == row["macs"]
    assert fresh["ram"]["arena_bytes"] == row["ram"]["arena_bytes"]
    assert fresh["flash"]["weights_bytes"] == row["flash"]["weights_bytes"]
    if conditions() == results["conditions"]:
        assert fresh == {key: row[key] for key in fresh}


def _case(target: str) -> tuple[str, str, str, str]:
    return "ad01_int8", target, "layer", "speed"


def test_what_got_worse_is_told(results: dict[str, Any]) -> None:
    old = [row for row in results["rows"] if row["model"] == "ad01_int8"]
    assert list(changes(old, old)) == []
    new = copy.deepcopy(old)
    new[0]["instructions"] = int(old[0]["instructions"] * 1.1)
    new[1]["ram"]["arena_bytes"] -= 8
    new[2]["flash"]["code_bytes"] += 4
    new[3] = {key: old[3][key] for key in ("model", "target", "schedule", "optimize")} | {"error": "does not fit"}
    found = list(changes(old, new))
    assert [worse for _, worse in found[:3]] == [True, False, False]
    assert "+10.00 %" in found[0][0]
    assert "no longer fits" in found[3][0]
    assert found[3][1]
