"""`--at-least top1=0.9`: limits of measures, as `check` has them of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinycompile.errors import UsageError
from tinycompile.evaluation.data import Task
from tinycompile.evaluation.scoring import MEASURES


@dataclass(frozen=True)
class Limit:
    """Of a measure of the firmware, such as "top1". at_least: else it is at most that."""

    key: str
    value: float
    at_least: bool


@dataclass(frozen=True)
class LimitFinding:
    """A measure and its limit."""

    model: str
    limit: Limit
    value: float | None

    @property
    def kept(self) -> bool:
        """A measure that isn't defined keeps no limit."""
        if self.value is None:
            return False
        return self.value >= self.limit.value if self.limit.at_least else self.value <= self.limit.value

    def line(self) -> str:
        """For the terminal."""
        value = "undefined" if self.value is None else f"{self.value:.6g}"
        wanted = f"{'at least' if self.limit.at_least else 'at most'} {self.limit.value:g}"
        return f"{self.model}: {self.limit.key} {value}, {wanted} is wanted  {'ok' if self.kept else 'missed'}"


def check_measures(model: str, task: Task, limits: Sequence[Limit]) -> None:
    """Before anything is measured. Raises UsageError: there is no such measure."""
    for limit in limits:
        if limit.key not in MEASURES[task]:
            raise _unmeasured(model, limit, str(task), MEASURES[task])


def check_limits(model: str, facts: Mapping[str, Any], limits: Sequence[Limit]) -> list[LimitFinding]:
    """A finding per limit, kept or not.

    Raises:
        UsageError: there is no such measure.
    """
    firmware = facts["columns"][0]
    known = [key for key in firmware if key != "column"]
    for limit in limits:
        if limit.key not in known:
            raise _unmeasured(model, limit, facts["task"], known)
    return [LimitFinding(model, limit, firmware[limit.key]) for limit in limits]


def _unmeasured(model: str, limit: Limit, task: str, known: Sequence[str]) -> UsageError:
    return UsageError(f"{limit.key!r} isn't measured", where=model, why=f"measures of {task} are: {', '.join(known)}")
