"""Advice: what other options would change, by plans that there are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support.full import FULL
from tinycompile import cost
from tinycompile.report.advice import advice, edge_conversions

KWS = ROOT / "examples" / "kws_transformer" / "kws_transformer_int8.onnx"


def layer(op: str, output: str, dtype: str, instructions: int) -> dict[str, Any]:
    tensor = {"name": output, "dtype": dtype}
    return {"op": op, "outputs": [tensor], "instructions": None, "instructions_estimate": instructions}


def report(**other: Any) -> dict[str, Any]:
    """Floats at both edges, and a quantize and a dequantize inside that aren't at one."""
    names = ["input", "quantize", "dequantize", "quantize", "conv2d", "dequantize"]
    nodes = [{"name": f"v{i}", "op": op, "layer": i - 1 if i else None} for i, op in enumerate(names)]
    layers = [layer(op, f"v{i}", "float32" if op == "dequantize" else "int8", 10**i) for i, op in enumerate(names) if i]
    graph = {"nodes": nodes, "edges": [[i, i + 1] for i in range(5)]}
    return {
        "options": {"io": "model"},
        "inputs": [{"name": "v0", "dtype": "float32"}],
        "outputs": [{"name": "v5", "dtype": "float32"}],
        "graphs": {"compiled": graph},
        "layers": layers,
        "ram": {"arena_bytes": 1000, "limit_bytes": 9000, "total_bytes": 1500},
        **other,
    }


def test_what_conversions_at_the_edges_cost() -> None:
    assert edge_conversions(report()) == [0, 4]
    assert advice(report())[0].startswith("--io int8 saves 100,010 instructions (90.0 %)")
    assert advice(report(options={"io": "int8"})) == []
    assert advice(report(training={})) == []


def test_conversions_that_io_int8_leaves() -> None:
    """Of 16 bits, of an input that others read as well, and of an output that is one as integers, too."""
    wide = report()
    for each in wide["layers"][0], wide["layers"][3]:
        each["outputs"][0]["dtype"] = "int16"
    assert advice(wide) == []
    read = report()
    read["graphs"]["compiled"]["edges"].append([0, 4])
    assert edge_conversions(read) == [4]
    both = report()
    both["outputs"].append({"name": "v4", "dtype": "int8"})
    assert edge_conversions(both) == [0]


@pytest.mark.skipif(not FULL, reason="plans a transformer twice: `make test-full` runs it")
def test_the_conversions_are_what_another_build_saves() -> None:
    """By the plan with --io int8, to the instruction."""
    as_it_is, stripped = (cost(KWS, "stm32f746", io=io) for io in ("model", "int8"))
    kinds = [each.op for each in as_it_is.layers]
    saved = sum(each.instructions for each in (as_it_is.layers[0], as_it_is.layers[-1]))
    assert (kinds[0], kinds[-1]) == ("quantize", "dequantize")
    assert as_it_is.instructions - stripped.instructions == saved


def point(arena: int, instructions: int, schedule: str) -> dict[str, Any]:
    return {"arena_bytes": arena, "instructions_estimate": instructions, "macs": 1, "schedule": schedule}


def test_schedules_that_cost_little_or_save_much() -> None:
    points = [point(2000, 700_000, "layer"), point(1000, 1_000_000, "stream"), point(300, 1_020_000, "patch")]
    quiet: dict[str, Any] = {"options": {"io": "int8"}, "layers": [layer("conv2d", "v5", "int8", 1_000_000)]}
    found = advice(report(pareto=[*points, point(100, 2_000_000, "patch")], **quiet))
    assert found[0] == "--ram 300 saves 70 % of the arena (patch) for 2.0 % more instructions"
    assert "2,000 bytes (layer)" in found[1] and "30.0 % fewer" in found[1]
    small = {"arena_bytes": 1000, "limit_bytes": 2000, "total_bytes": 1500}
    assert len(advice(report(pareto=points, ram=small, **quiet))) == 1
    assert advice(report(pareto=[point(1000, 10, "layer"), point(960, 10, "patch")], **quiet)) == []
    by_size = {**quiet, "options": {"io": "int8", "optimize": "size"}}
    assert [line[:2] for line in advice(report(pareto=points, **by_size))] == ["an"]
    worse = {**quiet, "layers": [layer("conv2d", "v5", "int8", 2_000_000)]}
    assert advice(report(pareto=points, **worse))[0].endswith("for 49.0 % fewer instructions")
