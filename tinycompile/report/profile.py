"""A profile on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinycompile.report.layer_labels import layer_labels
from tinycompile.report.summary import duration


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
    rows = [
        *zip(layer_labels(report["layers"]), profile["layers"], strict=True),
        ("(outside layers)", profile["outside_layers"]),
        ("total", profile),
    ]
    for name, row in rows:
        if row["instructions"]:
            mix = [f"{100 * row['mix'][kind] / row['instructions']:.0f} %" for kind in row["mix"]]
            cycles = [f"{row['cycles'][core]:,}" for core in cores]
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
    if (estimate := profile["estimate"]) is not None:
        clock, error = estimate["clock_hz"] / 1e6, _error(profile, estimate["core"])
        time = duration(report)
        waits = time.waits if time is not None else ""
        text = time.text() if time is not None and waits else f"{estimate['milliseconds']:,.3f} ms"
        assumed = f"; {waits}" if waits else ""
        lines.append(f"estimate: {text} on {report['target']} at {clock:g} MHz ({error}{assumed})")
    if profile["note"]:
        lines.append(f"no estimate of cycles: {profile['note']}")
    return lines


def _error(profile: dict[str, Any], core: str) -> str:
    error = profile["error_percent"][core]
    return "never compared with silicon" if error is None else f"error up to {error:g} %"
