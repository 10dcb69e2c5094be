"""The closed form of waiting for memories (`tinycompile/memory_time.py`) against the simulation of `profile`.

    python -m benchmarks.waiting [--boards stm32f746,...] [--models kws,...] [--layers] [--write]

Prints, and with `--write` puts into docs/benchmarks.md, the core's cycles and for both what comes on top: the middle of
their bounds. The error is that of the whole, core and waiting. `--layers` shows the layers that differ most.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinycompile
from benchmarks.pages import with_block
from tinycompile.profile import profile_build

ROOT = Path(__file__).resolve().parents[1]
MODELS_FOLDER = ROOT.parent / "shared" / "models"
BOARDS = ("stm32f746", "stm32h743", "stm32f407", "nrf52840", "rp2350")
MODELS = {
    "kws": ("kws_ref_model.tflite", None),
    "vww": ("vww_96_int8.tflite", None),
    "ic": ("ic_resnet8_int8.tflite", None),
    "ad01": ("ad01_int8.tflite", None),
    "mcunet": ("mcunet_vww.tflite", None),
    "mobilenet_v2": ("mobilenet_v2_int8.tflite", 229_376),
}
ONLY = {"mobilenet_v2": ("stm32f746",)}
"""Of the boards with caches in front of external flash there is one."""

BEGIN, END = "<!-- waiting: python -m benchmarks.waiting --write -->", "<!-- until here -->"


@dataclass(frozen=True)
class Row:
    """Cycles of one build."""

    model: str
    board: str
    core: int
    simulated: dict[str, int]
    estimated: dict[str, int]

    @property
    def error(self) -> float:
        """Of the whole, in percent."""
        return 100 * ((self.core + middle(self.estimated)) / (self.core + middle(self.simulated)) - 1)


def middle(bounds: dict[str, int]) -> float:
    return (bounds["low"] + bounds["high"]) / 2


def measure(model: str, board: str, layers: bool) -> Row:
    """Build, profile, compare."""
    file, ram = MODELS[model]
    with tempfile.TemporaryDirectory() as folder:
        build = tinycompile.compile(MODELS_FOLDER / file, target=board, output=folder, optimize="speed", ram=ram)
        profile = profile_build(build)
        report = build.report
    core = profile["estimate"]["cycles"] if profile["estimate"] else profile["instructions"]
    if layers:
        for line in differences(report, profile):
            print(line)
    return Row(model, board, core, profile["waiting"]["total"], report["time"]["waiting_total"])


def differences(report: dict[str, Any], profile: dict[str, Any], most: int = 8) -> Iterator[str]:
    """The layers whose waiting is estimated worst, and the kinds of all together."""
    pairs = list(zip(report["layers"], profile["layers"], strict=True))
    pairs.sort(key=lambda p: -abs(middle(p[0]["waiting_estimate"]) - middle(p[1]["waiting"]["total"])))
    for layer, found in pairs[:most]:
        yield f"    {layer['kernel']:28} {found['waiting']['total']} estimated {layer['waiting_estimate']}"
    for kind, bounds in profile["waiting"]["cycles"].items():
        yield f"  {kind:12} simulated {bounds} estimated {report['time']['waiting'][kind]}"


def table(rows: list[Row]) -> str:
    lines = [
        "| model | board | core cycles | waiting, simulated | estimated | error of the whole |",
        "|---|---|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.model} | {r.board} | {r.core:,} | {middle(r.simulated):,.0f} | {middle(r.estimated):,.0f} | {r.error:+.1f} % |"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> int:
    """Returns 1 where a build is off by more than 15 %."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", default=",".join(BOARDS))
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    rows = list[Row]()
    for model in chosen.models.split(","):
        for board in chosen.boards.split(","):
            if board in ONLY.get(model, BOARDS):
                rows.append(measure(model, board, chosen.layers))
                print(table(rows[-1:]).splitlines()[-1], flush=True)
    if chosen.write:
        page = ROOT / "docs" / "benchmarks.md"
        page.write_text(with_block(page.read_text(), BEGIN, END, f"\n{table(rows)}\n"))
    return int(any(abs(row.error) > 15 for row in rows))


if __name__ == "__main__":
    sys.exit(main())
