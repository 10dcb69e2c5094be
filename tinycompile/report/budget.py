"""`tinycompile check`: whether a build stays within a budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.build import Build


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

    Instructions are those of the largest count that `run` found; without a run, of one here in QEMU on zeros, as the
    generated code's count hardly depends on its input.

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
    if "run" not in build.report:
        _ = build.emulated  # a board that QEMU can't run, or the host, is a mistake
        build.execute([np.zeros((1, *t.shape), t.dtype) for t in build.inputs])
    run = build.report["run"]
    return max(run["instructions"], run["instructions_max"])
