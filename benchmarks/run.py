"""`make bench`: every model in ../shared/models x {Cortex-M7, Cortex-M4} x {speed, size}, beside the peers' figures.

Executed instructions of one inference in QEMU with the input bytes `(i * 37 + 11) & 0xff`, instructions per MAC by operator,
code and weight bytes and RAM from the ELF, estimated cycles from ../shared/tools/mcucycles. Writes
benchmarks/results.json and benchmarks/results.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import tinycompile
from tinycompile.build import Build
from tinycompile.ir import TensorType

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared"
TARGETS = ("mps2-an500", "mps2-an386")
MODES = ("speed", "size")
MODELS = ("ad01_int8", "kws_ref_model", "ic_resnet8_int8", "vww_96_int8", "mcunet_vww", "mobilenet_v2_int8")


def pattern(t: TensorType) -> np.ndarray:
    """The benchmark's input: one sample whose bytes are (i * 37 + 11) & 0xff."""
    data = ((np.arange(t.bytes) * 37 + 11) & 0xFF).astype(np.uint8)
    return data.view(t.dtype).reshape(1, *t.shape)


def measure(model: str, target: str, mode: str, folder: Path, cycles: bool) -> dict[str, Any]:
    """Build, run one inference and collect the figures."""
    build = tinycompile.compile(SHARED / "models" / f"{model}.tflite", target=target, output=folder, optimize=mode)
    build.execute([pattern(t) for t in build.inputs])
    report = build.report
    by_op = defaultdict(lambda: [0, 0])
    for layer in report["layers"]:
        by_op[layer["op"]][0] += layer["instructions"]
        by_op[layer["op"]][1] += layer["macs"]
    row = {
        "model": model,
        "target": target,
        "mode": mode,
        "instructions": report["run"]["instructions"],
        "macs": report["macs"],
        "flash": report["flash"],
        "ram": report["ram"],
        "by_op": {op: {"instructions": i, "macs": m} for op, (i, m) in sorted(by_op.items())},
    }
    if cycles:
        row["cycles_estimate"] = estimate_cycles(build)
    return row


def estimate_cycles(build: Build) -> int | None:
    """Estimated cycles of one inference by ../shared/tools/mcucycles; None where it can't run."""
    source = SHARED / "tools" / "mcucycles"
    if not source.exists():
        return None
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for path in source.iterdir():
            shutil.copy(path, work)
        compiler = shutil.which("gcc") or "gcc"
        subprocess.run([compiler, "-O2", "-fPIC", "-shared", "-o", "libtbprof.so", "tbprof.c"], cwd=work, check=True)
        (work / "input.bin").write_bytes(b"".join(pattern(t).tobytes() for t in build.inputs))
        command = [sys.executable, "mcucycles.py", str(build.elf("firmware.elf").resolve()), "--quiet"]
        command += ["--machine", build.emulated.name, "--root", f"{build.model}_invoke", "--json", "out.json"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"mcucycles failed: {done.stderr[-300:]}", file=sys.stderr)
            return None
        total = json.loads((work / "out.json").read_text())
    core = "m7" if "m7" in build.board.isa.core else "m4"
    return round(total[f"{build.model}_invoke"][core])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--targets", nargs="*", default=TARGETS)
    parser.add_argument("--modes", nargs="*", default=MODES)
    parser.add_argument("--cycles", action="store_true", help="also estimate cycles (slow)")
    parser.add_argument("--dry", action="store_true", help="print only, write no files")
    options = parser.parse_args()
    if not SHARED.exists():
        sys.exit("make bench needs ../shared/models, which is not part of the repository")
    rows = []
    for model in options.models:
        for target in options.targets:
            for mode in options.modes:
                with tempfile.TemporaryDirectory() as name:
                    rows.append(measure(model, target, mode, Path(name) / "out", options.cycles))
                print(line(rows[-1]), flush=True)
    if not options.dry:
        (HERE / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
        (HERE / "results.md").write_text(markdown(rows))


def line(row: dict[str, Any]) -> str:
    macs = row["macs"]["executed"]
    return (
        f"{row['model']:20} {row['target']:11} {row['mode']:6} {row['instructions']:>12,} instructions "
        f"{row['instructions'] / macs:6.2f}/MAC  arena {row['ram']['arena_bytes']:>9,}  "
        f"code {row['flash']['code_bytes']:>7,}  weights {row['flash']['weights_bytes']:>9,}"
        + (f"  cycles {row['cycles_estimate']:>11,} (estimate)" if row.get("cycles_estimate") else "")
    )


def markdown(rows: list[dict[str, Any]]) -> str:
    """The committed table."""
    peers = json.loads((HERE / "peers.json").read_text())["instructions"]
    out = ["# Benchmarks", "", "Written by `make bench`; executed instructions of one inference in QEMU.", ""]
    out += [
        "| model | core | mode | instructions | per MAC | cycles (estimate) | TFLM + CMSIS-NN | TinyEngine | arena | code | weights |"
    ]
    out += ["|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for row in rows:
        peer = peers.get(row["target"], {}).get(row["model"], {})
        cells = [row["model"], row["target"], row["mode"], f"{row['instructions']:,}"]
        cells += [f"{row['instructions'] / row['macs']['executed']:.2f}", number(row.get("cycles_estimate"))]
        cells += [number(peer.get("TFLM + CMSIS-NN")), number(peer.get("TinyEngine"))]
        cells += [
            f"{row['ram']['arena_bytes']:,}",
            f"{row['flash']['code_bytes']:,}",
            f"{row['flash']['weights_bytes']:,}",
        ]
        out.append(f"| {' | '.join(cells)} |")
    out += [
        "",
        "## Instructions per MAC by operator",
        "",
        "| model | core | mode | operator | instructions | MACs | per MAC |",
    ]
    out += ["|---|---|---|---|--:|--:|--:|"]
    for row in rows:
        for op, entry in row["by_op"].items():
            rate = f"{entry['instructions'] / entry['macs']:.2f}" if entry["macs"] else ""
            cells = [
                row["model"],
                row["target"],
                row["mode"],
                op,
                f"{entry['instructions']:,}",
                f"{entry['macs']:,}",
                rate,
            ]
            out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out) + "\n"


def number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


if __name__ == "__main__":
    main()
