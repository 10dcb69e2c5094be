"""The committed table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.cases import BOARDS, MODELS, SCHEDULES, TARGETS, cases

Row = dict[str, Any]


def line(row: Row) -> str:
    """One row on the terminal."""
    name = f"{row['model']:18} {row['core']:11} {row['schedule']:7} {row['optimize']:6}"
    return (
        f"{name} {row['instructions']:>13,} instructions {row['instructions'] / row['macs']['executed']:6.2f}/MAC  "
        f"arena {row['ram']['arena_bytes']:>9,}  code {row['flash']['code_bytes']:>7,}  "
        f"weights {row['flash']['weights_bytes']:>9,}"
    )


def markdown(document: dict[str, Any], peers: dict[str, Any]) -> str:
    """results.md."""
    conditions = document["conditions"]
    parts = [
        "# Benchmarks",
        "",
        "Written by `make bench`; how it is measured: [docs/benchmarks.md](../docs/benchmarks.md). One inference;",
        "instructions are exact, cycles are estimates without wait states. Schedule auto, balanced: what a build without options is",
        f"for {', '.join(BOARDS)}. {conditions['compiler']}, {conditions['optimization']}; {conditions['emulator']}.",
        "",
        *_table(_main_header(), (_main_cells(row) for row in document["rows"])),
        "",
        *_not_measured(document["rows"]),
        "## Beside the peers",
        "",
        peers["conditions"],
        "",
        *_table(PEER_HEADER, _peer_cells(document["rows"], peers)),
        "",
        "### RAM",
        "",
        peers["ram_conditions"],
        "",
        *_table(RAM_HEADER, _ram_cells(document["rows"], peers)),
        "",
        "### Flash",
        "",
        peers["flash"],
        "",
        "### On silicon",
        "",
        peers["silicon_conditions"],
        "",
        *_table(SILICON_HEADER, _silicon_cells(document["rows"], peers)),
        "",
        "## Instructions per MAC by operator, layer by layer, `--optimize speed`",
        "",
        *_table(("model", "core", "operator", "instructions", "MACs", "per MAC"), _op_cells(document["rows"])),
    ]
    return "\n".join(parts) + "\n"


def _not_measured(rows: Sequence[Row]) -> Iterator[str]:
    """Cases without a row, so that nobody takes the table for complete when it isn't."""
    measured = {(row["model"], row["target"], row["schedule"], row["optimize"]) for row in rows}
    missing = [case.key for case in cases(MODELS, tuple(TARGETS), SCHEDULES) if case.key not in measured]
    if missing:
        yield f"Not measured yet: {'; '.join(' '.join(key) for key in missing)}."
        yield ""


def number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Words to the left, figures to the right."""
    filled = list(rows)
    right = [all(not row[i] or row[i][0].isdigit() or row[i][0] == "~" for row in filled) for i in range(len(header))]
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join('--:' if figures else '---' for figures in right)}|"
    for row in filled:
        yield f"| {' | '.join(row)} |"


def _main_header() -> tuple[str, ...]:
    cycles = ("cycles, own core (estimate)",)
    return (
        "model",
        "core",
        "schedule",
        "optimize",
        "instructions",
        "per MAC",
        *cycles,
        "arena",
        "stack",
        "code",
        "weights",
    )


def _main_cells(row: Row) -> list[str]:
    cells = [row["model"], row["core"], row["schedule"], row["optimize"]]
    if "error" in row:
        return [*cells, row["error"], *[""] * 6]
    own = row["core"].lower().replace("+", "plus")
    cycles = row["cycles_estimate"].get(own)
    return [
        *cells,
        number(row["instructions"]),
        f"{row['instructions'] / row['macs']['executed']:.2f}",
        "" if cycles is None else f"~{cycles:,}",
        number(row["ram"]["arena_bytes"]),
        number(row["ram"]["stack_bytes"]),
        number(row["flash"]["code_bytes"]),
        number(row["flash"]["weights_bytes"]),
    ]


PEER_HEADER = ("model", "core", "MACs", "tinycompile", "TFLM + CMSIS-NN", "TinyEngine")


def _peer_cells(rows: Sequence[Row], peers: dict[str, Any]) -> Iterator[list[str]]:
    for row in _measured(rows, "layer", "speed"):
        peer = peers["instructions"].get(row["target"], {}).get(row["model"])
        if peer is not None:
            yield [
                row["model"],
                row["core"],
                number(row["macs"]["nominal"]),
                number(row["instructions"]),
                number(peer["TFLM + CMSIS-NN"]),
                number(peer["TinyEngine"]),
            ]


RAM_HEADER = ("model", *SCHEDULES, "TFLM arena", "TinyEngine, by layers", "TinyEngine, patches")


def _ram_cells(rows: Sequence[Row], peers: dict[str, Any]) -> Iterator[list[str]]:
    arenas = {(row["model"], row["schedule"]): row["ram"]["arena_bytes"] for row in _of_m7(rows)}
    for model, peer in peers["ram"].items():
        ours = [number(arenas.get((model, schedule))) for schedule in SCHEDULES]
        yield [model, *ours, *[number(peer[key]) for key in ("TFLM arena", "TinyEngine layers", "TinyEngine patches")]]


SILICON_HEADER = ("board", "stack", "ad", "ic", "kws", "vww")
_SHORT = {"ad01_int8": "ad", "ic_resnet8_int8": "ic", "kws_ref_model": "kws", "vww_96_int8": "vww"}


def _silicon_cells(rows: Sequence[Row], peers: dict[str, Any]) -> Iterator[list[str]]:
    """Milliseconds; ours estimated at the same clock, where the core has a model."""
    for board in peers["silicon"]:
        for stack, times in board["stacks"].items():
            yield [board["board"], stack, *[number(times.get(model)) for model in _SHORT.values()]]
        times = {
            _SHORT[row["model"]]: row["cycles_estimate"][board["core"]] / board["mhz"] / 1000
            for row in _measured(rows, "layer", "speed")
            if row["target"] == board["target"] and row["model"] in _SHORT and board["core"] in row["cycles_estimate"]
        }
        if times:
            yield [
                board["board"],
                "tinycompile, estimate",
                *[f"~{times[m]:.2f}" if m in times else "" for m in _SHORT.values()],
            ]


def _op_cells(rows: Sequence[Row]) -> Iterator[list[str]]:
    for row in _measured(rows, "layer", "speed"):
        if row["core"] in ("Cortex-M4", "Cortex-M7"):
            for op, entry in row["by_op"].items():
                rate = f"{entry['instructions'] / entry['macs']:.2f}" if entry["macs"] else ""
                yield [row["model"], row["core"], op, number(entry["instructions"]), number(entry["macs"]), rate]


def _measured(rows: Sequence[Row], schedule: str, optimize: str) -> Iterator[Row]:
    for row in rows:
        if "error" not in row and row["schedule"] == schedule and row["optimize"] == optimize:
            yield row


def _of_m7(rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        if "error" not in row and row["core"] == "Cortex-M7" and row["optimize"] == "speed":
            yield row
