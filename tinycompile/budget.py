"""`tinycompile check`: whether a build stays within a budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import UsageError


@dataclass(frozen=True)
class Budget:
    """Limits; None for none. RAM and flash in bytes, of the whole firmware; instructions of one inference."""

    ram: int | None = None
    flash: int | None = None
    instructions: int | None = None


@dataclass(frozen=True)
class Finding:
    """A figure of a model and its limit."""

    model: str
    what: str
    value: int
    limit: int

    @property
    def over(self) -> int:
        """By how much the limit is exceeded; 0 where it isn't."""
        return max(0, self.value - self.limit)

    def line(self) -> str:
        verdict = f"over by {self.over:,} ({100 * self.over / self.limit:.1f} %)" if self.over else "ok"
        return f"{self.model}: {self.what:<12} {self.value:>13,} of {self.limit:>13,}  {verdict}"


def check_budget(build: Build, budget: Budget) -> list[Finding]:
    """A finding per limit, kept or not.

    Instructions are those of the largest count that `run` or `profile` found; without one, of a run here in QEMU on
    zeros, as the generated code's count hardly depends on its input.

    Raises:
        UsageError: instructions are limited, and QEMU can't run this board. ToolMissingError: there is no QEMU.
    """
    report = build.report
    sizes = (("RAM", budget.ram, "ram"), ("flash", budget.flash, "flash"))
    found = [Finding(build.model, what, report[key]["total_bytes"], limit) for what, limit, key in sizes if limit]
    if budget.instructions:
        found.append(Finding(build.model, "instructions", instructions(build), budget.instructions))
    return found


def instructions(build: Build) -> int:
    """Executed instructions of one inference; runs the firmware in QEMU if nobody has yet."""
    report = build.report
    if "run" not in report and "profile" not in report:
        if build.board.is_host:
            raise UsageError("a build for the host counts no instructions", hint="build for a board that QEMU can run")
        build.execute([np.zeros((1, *t.shape), t.dtype.carrier) for t in build.inputs])
    run, profile = report.get("run", {}), report.get("profile", {})
    return max(run.get("instructions_max", 0), run.get("instructions", 0), profile.get("instructions", 0))
