"""What other options would change, by figures that a report has: conversions at the edges, and planned schedules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

LITTLE = 0.05
"""So much more work is little for less RAM."""

WORTH = 0.1
"""A part of RAM or work that is worth a line."""

Report = dict[str, Any]


def advice(report: Report) -> list[str]:
    """Sentences, each with the option that it is about; none where nothing is known to be better."""
    if report.get("training") is not None:
        return []
    return [*_edges(report), *_schedules(report)]


def edge_conversions(report: Report) -> list[int]:
    """Layers that only convert floats at the model's inputs and outputs, and that `--io int8` drops (`passes.io`):
    callers then give and get the integers.
    """
    if "graphs" not in report or report["options"].get("io") != "model":
        return []
    nodes, edges = report["graphs"]["compiled"]["nodes"], report["graphs"]["compiled"]["edges"]
    inputs, results = _names(report["inputs"]), {tensor["name"] for tensor in report["outputs"]}
    readers, found = Counter(made for made, _ in edges), list[int]()
    for index, node in enumerate(nodes):
        made = [each for each, reader in edges if reader == index]
        if node["layer"] is None or len(made) != 1:
            continue
        outputs, given = report["layers"][node["layer"]]["outputs"], nodes[made[0]]
        if given["layer"] is None:
            alone = given["name"] in inputs and readers[made[0]] == 1
            drops = node["op"] == "quantize" and alone and _are_free(outputs, results)
        else:
            behind = report["layers"][given["layer"]]["outputs"]
            drops = node["op"] == "dequantize" and bool(_names(outputs) & results) and _are_free(behind, results)
        found += [node["layer"]] if drops else []
    return found


def _names(tensors: list[dict[str, Any]]) -> set[str]:
    """Of those that are floats."""
    return {tensor["name"] for tensor in tensors if tensor["dtype"] == "float32"}


def _are_free(tensors: list[dict[str, Any]], results: set[str]) -> bool:
    """Whether these are int8, and no outputs of the model yet."""
    return all(tensor["dtype"] == "int8" and tensor["name"] not in results for tensor in tensors)


def _instructions(layer: dict[str, Any]) -> int:
    return layer["instructions_estimate"] if layer["instructions"] is None else layer["instructions"]


def _edges(report: Report) -> Iterator[str]:
    saved = sum(_instructions(report["layers"][index]) for index in edge_conversions(report))
    if saved:
        everything = sum(_instructions(layer) for layer in report["layers"])
        part = f"{100 * saved / everything:.1f} %"
        yield f"--io int8 saves {saved:,} instructions ({part}): the caller then gives and gets the integers themselves"


def _schedules(report: Report) -> Iterator[str]:
    """Of the front that was planned: much less RAM for little more work, and less work where there is RAM. Both against
    this build, whose plan needn't be on the front; by size, what --ram would build isn't.
    """
    points: list[dict[str, Any]] = report.get("pareto") or []
    work = sum(layer["instructions_estimate"] for layer in report["layers"])
    now = {"arena_bytes": report["ram"]["arena_bytes"], "instructions_estimate": work}
    most = (1 + LITTLE) * now["instructions_estimate"]
    leaner = [p for p in points if p["arena_bytes"] < now["arena_bytes"] and p["instructions_estimate"] <= most]
    if leaner and report["options"].get("optimize") != "size":
        best = min(leaner, key=lambda point: point["arena_bytes"])
        saved = 1 - best["arena_bytes"] / now["arena_bytes"]
        if saved >= WORTH:
            yield (
                f"--ram {best['arena_bytes']} saves {100 * saved:.0f} % of the arena ({best['schedule']}) "
                f"for {_more(best, now)} instructions"
            )
    ram = report["ram"]
    room = ram["limit_bytes"] - ram["total_bytes"] + (ram.get("together") or ram)["arena_bytes"]
    faster = [point for point in points if now["arena_bytes"] < point["arena_bytes"] <= room]
    if faster:
        best = min(faster, key=lambda point: point["instructions_estimate"])
        if best["instructions_estimate"] <= (1 - WORTH) * now["instructions_estimate"]:
            yield (
                f"an arena of {best['arena_bytes']:,} bytes ({best['schedule']}) would take {_more(best, now)} "
                "instructions: a larger --ram, or another --optimize"
            )


def _more(point: dict[str, Any], now: dict[str, Any]) -> str:
    part = point["instructions_estimate"] / now["instructions_estimate"] - 1
    return f"{100 * abs(part):.1f} % {'more' if part >= 0 else 'fewer'}"
