"""The table in README.md, from the committed results: `python -m benchmarks.readme` after `make bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.pages import with_block

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- from benchmarks/results.json, by benchmarks/readme.py -->", "<!-- end -->"
TARGET = "mps2-an500"
NAMES = {
    "ad01_int8": "MLPerf Tiny anomaly detection",
    "kws_ref_model": "MLPerf Tiny keyword spotting",
    "ic_resnet8_int8": "MLPerf Tiny image classification",
    "vww_96_int8": "MLPerf Tiny visual wake words",
    "mcunet_vww": "MCUNet visual wake words",
    "mobilenet_v2_int8": "MobileNetV2 1.0, 224x224",
}

Row = dict[str, Any]


def table(rows: list[Row], peers: dict[str, Any]) -> str:
    """A line per model, on the Cortex-M7."""
    lines = [
        "| model | tinycompile | TFLM + CMSIS-NN | TinyEngine | arena | TFLM arena | least arena | instructions then |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for model, name in NAMES.items():
        own = [row for row in rows if (row["model"], row["target"]) == (model, TARGET) and "error" not in row]
        fast = next((row for row in own if (row["schedule"], row["optimize"]) == ("layer", "speed")), None)
        if fast is None:
            continue
        lean = min(own, key=lambda row: (row["ram"]["arena_bytes"], row["instructions"]))
        theirs = peers["instructions"][TARGET][model]
        figures = [
            fast["instructions"],
            *(theirs[peer] for peer in ("TFLM + CMSIS-NN", "TinyEngine")),
            fast["ram"]["arena_bytes"],
            peers["ram"][model]["TFLM arena"],
            lean["ram"]["arena_bytes"],
            lean["instructions"],
        ]
        lines.append(f"| {name} | {' | '.join('' if f is None else f'{f:,}' for f in figures)} |")
    return "\n".join(lines)


def updated(text: str) -> str:
    """README.md with the table of the committed results."""
    rows = json.loads((HERE / "results.json").read_text())["rows"]
    peers = json.loads((HERE / "peers.json").read_text())
    return with_block(text, BEGIN, END, f"\n{table(rows, peers)}\n")


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
