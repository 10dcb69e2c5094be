"""What the report says of an inference on two cores, of which `run` and `profile` count the instructions together."""

from __future__ import annotations

from typing import Any

import pytest

from tinycompile.report.profile import profile_lines
from tinycompile.report.summary import Duration, duration, work
from tinycompile.report.table import _work


def _report(cores: int, **more: Any) -> dict[str, Any]:
    """A layer of 600 instructions for the slower core, of 1,000 altogether."""
    layer = {"instructions_estimate": 600, "waiting_estimate": {"low": 0, "high": 0}, "macs": 100}
    time = {"cycles_per_instruction": [1.0, 2.0], "waiting_total": {"low": 0, "high": 1}, "assumes": []}
    board = {"core": "cortex-m33", "clock_hz": 1_000_000}
    given = {"options": {"cores": cores}, "board": board, "layers": [layer], "time": time, "macs": {"executed": 100}}
    return {"target": "b", **given, **more}


def _profile(milliseconds: float | None) -> dict[str, Any]:
    each = {"core": "cortex-m33", "clock_hz": 1_000_000, "instructions": 500}
    return {
        "instructions": 1_000,
        "machine": "q",
        "cycles": {"cortex-m33": 1_300},
        "error_percent": {"cortex-m33": 5.0},
        "waiting": {"total": {"low": 900, "high": 900}, "cycles": {}, "fills": {}},
        "waiting_assumes": [],
        "cores": [{**each, "milliseconds": milliseconds}, {**each, "milliseconds": milliseconds and milliseconds / 2}],
        "estimate": {"clock_hz": 1_000_000, "core": "cortex-m33", "milliseconds": 1.3},
        "note": None,
    }


def _time(report: dict[str, Any]) -> Duration:
    found = duration(report)
    assert found is not None
    return found


def test_a_run_that_counts_both_cores_does_not_make_an_inference_longer() -> None:
    built, executed = _report(2), _report(2, run={"instructions": 1_000})
    assert work(executed).instructions == 1_000
    assert _time(built) == _time(executed)
    assert _time(built).text() == "0.60 to 1.20 ms" and "of the core that takes longer" in _time(built).how()
    assert _time(_report(1, run={"instructions": 1_000})).text() == "1.00 to 2.00 ms"


@pytest.mark.parametrize(("milliseconds", "time"), [(0.7, "0.70 ms"), (None, "0.60 to 1.20 ms")])
def test_a_profile_of_both_cores_is_as_long_as_the_slower_one(milliseconds: float | None, time: str) -> None:
    report = _report(2, profile=_profile(milliseconds))
    assert _time(report).text() == time and "simulate" not in _time(report).how() and not _time(report).simulated
    (line,) = (each for each in profile_lines(report) if "both cores together," in each)
    assert time in line


def test_both_ends_of_a_time_have_as_many_decimals() -> None:
    def text(low: float, high: float) -> str:
        return Duration(low / 1e3, high / 1e3, {}, {}, False, False, None, ()).text()

    assert text(0.0676, 0.104) == "0.0676 to 0.1040 ms" and text(0.0121, 0.0122) == "0.0121 to 0.0122 ms"
    assert text(9.87, 12.3) == "9.87 to 12.30 ms" and text(150.2, 150.4) == "150 ms"


def test_what_is_counted_says_of_whom() -> None:
    assert "of the core that takes longer" in next(_work(_report(2)))[1]
    assert "of both cores together" in next(_work(_report(2, run={"instructions": 1_000})))[1]
