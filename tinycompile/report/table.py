"""The report on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinycompile.codegen.names import short_name

_UNLIMITED_BYTES = 1 << 31


def print_report(report: dict[str, Any], console: Console) -> None:
    """Memory, work and layers of a build on one screen."""
    console.print(f"[bold]{escape(report['model'])}[/bold] for {report['target']}")
    summary = Table(show_header=False, box=None, pad_edge=False)
    for name, value in _summary(report):
        summary.add_row(name, value)
    console.print(summary)
    console.print(_layers(report))


def _summary(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    ram, flash, macs = report["ram"], report["flash"], report["macs"]
    parts = ("arena", "scratch", "state", "stack", "other")
    listed = ", ".join(f"{part} {ram[f'{part}_bytes']:,}" for part in parts if ram[f"{part}_bytes"])
    yield "RAM", f"{_share(ram)}: {listed}"
    gap = ram["arena_gap_bytes"]
    proof = "minimal for these kernels" if gap == 0 else f"at most {gap:,} bytes above the minimum"
    yield "arena", f"{proof}; order {ram['order']}"
    yield "flash", f"{_share(flash)}: weights {flash['weights_bytes']:,}, code {flash['code_bytes']:,}"
    for memory in report["memories"] if len(report["memories"]) > 2 else ():
        yield f"  {memory['name']}", ", ".join(f"{part} {size:,}" for part, size in memory["holds"].items())
    yield "MACs", f"{macs['executed']:,} executed of {macs['nominal']:,}"
    saved = report["eliminated"]
    if any(saved.values()):
        weights = f"{saved['weight_bytes']:,} weight bytes"
        yield "eliminated", f"{saved['channels']:,} constant channels with {saved['macs']:,} MACs and {weights}"
    if report["requantisation"]:
        yield "requantisation", ", ".join(f"{form}: {count} layers" for form, count in report["requantisation"].items())
    if "run" in report:
        run = report["run"]
        rate = f" ({run['instructions'] / macs['executed']:.2f} per MAC)" if macs["executed"] else ""
        yield "instructions", f"{run['instructions']:,} in QEMU's {run['machine']}{rate}"


def _share(memory: dict[str, int]) -> str:
    total, limit = memory["total_bytes"], memory["limit_bytes"]
    if limit >= _UNLIMITED_BYTES:
        return f"{total:,} bytes"
    return f"{total:,} of {limit:,} bytes ({100 * total / limit:.1f} %)"


def _layers(report: dict[str, Any]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("layer", overflow="ellipsis", max_width=24)
    table.add_column("op", overflow="ellipsis")
    table.add_column("kernel", overflow="ellipsis")
    for name in ("output", "MACs", "instructions", "per MAC"):
        table.add_column(name, justify="right", no_wrap=True)
    for layer in report["layers"]:
        count, macs = layer["instructions"], layer["macs"]
        shape = "x".join(str(d) for d in layer["outputs"][0]["shape"][1:]) if layer["outputs"] else ""
        table.add_row(
            escape(short_name(layer["name"])),
            layer["op"],
            escape(layer["kernel"]),
            shape,
            f"{macs:,}" if macs else "",
            "" if count is None else f"{count:,}",
            f"{count / macs:.2f}" if count and macs else "",
        )
    return table
