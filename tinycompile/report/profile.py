"""A profile on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinycompile.report.layer_labels import layer_labels
from tinycompile.report.summary import duration, range_text
from tinycompile.report.wrapping import fitted, wrapped

_UNBOUNDED = 10_000


Cells = Mapping[str, Callable[[dict[str, Any]], str]]
"""By the heading of a column what a layer has there."""


def print_profile(report: dict[str, Any], console: Console) -> None:
    """Layers with their exact instructions, what those are, and estimated cycles: in two tables where one would be
    wider than the console.
    """
    profile = report["profile"]
    mix: Cells = {kind: partial(_share, kind) for kind in profile["mix"]}
    times = dict[str, Callable[[dict[str, Any]], str]]({"instructions": lambda row: f"{row['instructions']:,}"})
    times |= {f"~cycles {core.removeprefix('cortex-').upper()}": partial(_cycles, core) for core in profile["cycles"]}
    if profile.get("waiting") is not None:
        times["~waiting"] = lambda row: range_text(row["waiting"]["total"])
    whole = _table(report, {**times, **mix})
    wanted = console.measure(whole, options=console.options.update(max_width=_UNBOUNDED)).maximum
    for table in [whole] if wanted <= console.width or not mix else [_table(report, times), _table(report, mix)]:
        console.print(fitted(table, console))
    for line in profile_lines(report):
        console.print(wrapped(line, console.width) if console.is_terminal else line, soft_wrap=True)


def _table(report: dict[str, Any], cells: Cells) -> Table:
    profile = report["profile"]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("layer", overflow="fold", max_width=24)  # two long names may differ at their ends alone
    for heading in cells:
        table.add_column(heading, justify="right", no_wrap=True)
    rows = [
        *zip(layer_labels(report["layers"]), profile["layers"], strict=True),
        ("(outside layers)", profile["outside_layers"]),
        ("total", profile),
    ]
    for name, row in rows:
        if row["instructions"]:
            table.add_row(escape(name), *(cell(row) for cell in cells.values()))
    return table


def _share(kind: str, row: dict[str, Any]) -> str:
    return f"{100 * row['mix'][kind] / row['instructions']:.0f} %"


def _cycles(core: str, row: dict[str, Any]) -> str:
    return f"{row['cycles'][core]:,}"


def profile_lines(report: dict[str, Any]) -> list[str]:
    """What the figures are."""
    profile = report["profile"]
    lines = [f"instructions: {profile['instructions']:,}, exact, in QEMU's {profile['machine']}"]
    lines += core_rows(profile)
    for core, cycles in profile["cycles"].items():
        lines.append(f"estimate: {cycles:,} cycles on a {core} without wait states ({_error(profile, core)})")
    lines += _waiting_lines(profile)
    if (estimate := profile["estimate"]) is not None:
        clock, error = estimate["clock_hz"] / 1e6, _error(profile, estimate["core"])
        time = duration(report)
        total = f"{estimate['milliseconds']:,.3f} ms" if time is None else time.text()
        two = bool(profile.get("cores"))
        waits = " with waiting" if profile.get("waiting") is not None and not two else ""
        who = ", both cores together, with waiting by the build's estimate" if two else ""
        lines.append(f"estimate: {total}{waits} on {report['target']} at {clock:g} MHz{who} ({error})")
    if profile["note"]:
        lines.append(f"no estimate of cycles: {profile['note']}")
    return lines


def core_rows(profile: dict[str, Any]) -> Iterator[str]:
    """Of a build for two cores."""
    cores = profile.get("cores", ())
    if cores:
        yield "these are those of both cores together; each, without waiting for memories or for the other one:"
    for number, each in enumerate(cores):
        time = "" if each["milliseconds"] is None else f", about {each['milliseconds']:,.3f} ms"
        clock = each["clock_hz"] / 1e6
        yield f"core {number}: {each['instructions']:,} instructions on a {each['core']} at {clock:g} MHz{time}"


def _waiting_lines(profile: dict[str, Any]) -> list[str]:
    """What the core waits for, and what is assumed of that."""
    waiting = profile.get("waiting")
    if waiting is None:
        return [f"assumed: {line}" for line in profile.get("waiting_assumes", ())]
    kinds = [f"{kind} {range_text(cycles)}" for kind, cycles in waiting["cycles"].items() if cycles["high"]]
    fills = [f"{memory} {n:,} {what}" for memory, of in waiting["fills"].items() for what, n in of.items() if n]
    return [
        f"simulated waiting, in cycles: {', '.join(kinds) or 'none'}",
        f"lines filled and uncached reads: {', '.join(fills) or 'none'}",
        *(f"assumed: {line}" for line in profile["waiting_assumes"]),
    ]


def _error(profile: dict[str, Any], core: str) -> str:
    error = profile["error_percent"][core]
    return "never compared with silicon" if error is None else f"error up to {error:g} %"
