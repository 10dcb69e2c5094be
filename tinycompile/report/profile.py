"""A profile on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinycompile.report.layer_labels import layer_labels
from tinycompile.report.summary import duration, range_text


def print_profile(report: dict[str, Any], console: Console) -> None:
    """Layers with their exact instructions, what those are, and estimated cycles."""
    profile = report["profile"]
    cores = list(profile["cycles"])
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("layer", overflow="fold", max_width=24)  # two long names may differ at their ends alone
    table.add_column("instructions", justify="right", no_wrap=True)
    for name in profile["mix"]:
        table.add_column(name, justify="right", no_wrap=True)
    for core in cores:
        table.add_column(f"~cycles {core.removeprefix('cortex-').upper()}", justify="right", no_wrap=True)
    waits = profile.get("waiting") is not None
    if waits:
        table.add_column("~waiting", justify="right", no_wrap=True)
    rows = [
        *zip(layer_labels(report["layers"]), profile["layers"], strict=True),
        ("(outside layers)", profile["outside_layers"]),
        ("total", profile),
    ]
    for name, row in rows:
        if row["instructions"]:
            mix = [f"{100 * row['mix'][kind] / row['instructions']:.0f} %" for kind in row["mix"]]
            cycles = [f"{row['cycles'][core]:,}" for core in cores]
            cycles += [range_text(row["waiting"]["total"])] if waits else []
            table.add_row(escape(name), f"{row['instructions']:,}", *mix, *cycles)
    console.print(table)
    for line in profile_lines(report):
        console.print(line)


def profile_lines(report: dict[str, Any]) -> list[str]:
    """What the figures are."""
    profile = report["profile"]
    lines = [f"instructions: {profile['instructions']:,}, exact, in QEMU's {profile['machine']}"]
    for core, cycles in profile["cycles"].items():
        lines.append(f"estimate: {cycles:,} cycles on a {core} without wait states ({_error(profile, core)})")
    lines += _waiting_lines(profile)
    if (estimate := profile["estimate"]) is not None:
        clock, error = estimate["clock_hz"] / 1e6, _error(profile, estimate["core"])
        time = duration(report)
        total = f"{estimate['milliseconds']:,.3f} ms" if time is None else time.text()
        waits = " with waiting" if profile.get("waiting") is not None else ""
        lines.append(f"estimate: {total}{waits} on {report['target']} at {clock:g} MHz ({error})")
    if profile["note"]:
        lines.append(f"no estimate of cycles: {profile['note']}")
    return lines


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
