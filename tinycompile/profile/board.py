"""`profile --on serial` and `bench`: what a board's own counter says, beside the estimate."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from tinycompile.build import Build
from tinycompile.errors import ToolMissingError, UsageError
from tinycompile.ir import Array
from tinycompile.profile import pattern, profile_build
from tinycompile.report.layer_labels import layer_labels
from tinycompile.serial_link.console import Action, Area, Console
from tinycompile.targets import Board


def cycles_of(board: Board, ticks: float) -> float:
    """Core cycles in ticks of the board's counter, which on most boards are the same."""
    return ticks if board.qemu is None else ticks * board.clock_hz / board.qemu.timer_hz


def measure_build(
    build: Build, console: Console, samples: Sequence[Array] | None = None, repeat: int = 1
) -> dict[str, Any]:
    """Run inferences on a board and record `measured` in the report.

    Args:
        samples: one array (1, *shape) per input; None for `pattern`.
        repeat: how many inferences; the first one, with cold caches, counts like the others.

    Returns:
        Cycles of each inference, of each layer the median; docs/serial.md says what the keys are.
    """
    inputs = [pattern(t)[0] for t in build.inputs] if samples is None else [array[0] for array in samples]
    totals, of_layers, stack = list[int](), list[list[int]](), 0
    for _ in range(repeat):
        console.do(Action.RESET)
        happened = console.do(Action.INVOKE, rows=console.give(inputs))
        totals.append(happened.ticks)
        of_layers.append(console.words(Area.CYCLES))
        stack = happened.stack_bytes
    board = build.board
    median = cycles_of(board, statistics.median(totals))
    layers = [round(cycles_of(board, statistics.median(column))) for column in zip(*of_layers, strict=True)]
    found = {
        "device": console.name,
        "input": "pattern" if samples is None else "sample",
        "clock_hz": board.clock_hz,
        "cycles": [round(cycles_of(board, ticks)) for ticks in totals],
        "median_cycles": round(median),
        "milliseconds": round(1e3 * median / board.clock_hz, 3),
        "stack_bytes": stack,
        "layers": [
            {"name": layer["name"], "cycles": cycles}
            for layer, cycles in zip(build.report["layers"], layers, strict=False)  # states come behind
        ],
    }
    build.add_to_report("measured", found)
    return found


def estimated(build: Build, samples: Sequence[Array] | None = None) -> dict[str, Any] | None:
    """The profile in QEMU, of the same input; None where QEMU has no such board or isn't installed."""
    try:
        return profile_build(build, samples)
    except (ToolMissingError, UsageError):
        return None


def bounds(profile: dict[str, Any] | None) -> tuple[int, int] | None:
    """Estimated cycles of an inference, from and to; None where there is no model of the core."""
    if profile is None or profile["estimate"] is None:
        return None
    total = profile["estimate"]["total_cycles"]
    return total["low"], total["high"]


def measured_lines(build: Build, profile: dict[str, Any] | None, *, layers: bool) -> Iterator[str]:
    """For people: layers, then the whole, each beside its estimate where there is one."""
    found = build.report["measured"]
    if layers:
        labels = layer_labels(build.report["layers"])
        width = max(map(len, labels))
        yield f"{'layer':{width}}  {'measured':>13}  {'estimate':>13}"
        for i, (label, each) in enumerate(zip(labels, found["layers"], strict=True)):
            yield f"{label:{width}}  {each['cycles']:13,}  {_layer_estimate(build, profile, i):>13}"
    counts, n = found["cycles"], len(found["cycles"])
    spread = "" if min(counts) == max(counts) else f", {min(counts):,} to {max(counts):,} in {n} inferences"
    yield f"measured: {found['median_cycles']:,} cycles, {found['milliseconds']:,.3f} ms, on {found['device']}{spread}"
    if build.board.qemu is not None:
        yield "in QEMU this board's counter follows executed instructions, whatever a core would take for them"
    if (guess := bounds(profile)) is not None:
        low, high = (100 * (found["median_cycles"] / each - 1) for each in reversed(guess))
        text = f"{guess[0]:,}" if guess[0] == guess[1] else f"{guess[0]:,} to {guess[1]:,}"
        off = f"{low:+.1f} %" if guess[0] == guess[1] else f"{low:+.1f} % to {high:+.1f} %"
        yield f"estimate: {text} cycles; measured differs from that by {off}"


def _layer_estimate(build: Build, profile: dict[str, Any] | None, layer: int) -> str:
    if profile is None or profile["estimate"] is None:
        return "-"
    row = profile["layers"][layer]
    waiting = (row["waiting"] or {"total": {"low": 0, "high": 0}})["total"]
    return f"{round(row['cycles'][profile['estimate']['core']] + (waiting['low'] + waiting['high']) / 2):,}"
