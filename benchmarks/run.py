"""`make bench`: every model in ../shared/models x core x schedule, beside the peers' figures.

Of one inference in QEMU with the input bytes `(i * 37 + 11) & 0xff`: executed instructions, exact, in all and by operator;
estimated cycles; code and weight bytes and RAM from the ELF. Writes benchmarks/results.json and benchmarks/results.md.
`--compare` (`make bench-quick` for some of the cases) says instead what has changed since results.json was written.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import tinycompile
from benchmarks.cases import BOARDS, MODELS, QUICK_MODELS, QUICK_TARGETS, SCHEDULES, TARGETS, Case, cases
from benchmarks.readme import README, updated
from benchmarks.table import line, markdown
from tinycompile.build import Build
from tinycompile.errors import DoesNotFitError
from tinycompile.ir import TensorType
from tinycompile.profile import profile_build
from tinycompile.toolchain import version

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared"
RESULTS = HERE / "results.json"
WORSE = 0.005
"""A figure that grew by more than this part is worse."""


def pattern(t: TensorType) -> np.ndarray:
    """The benchmark's input: one sample whose bytes are (i * 37 + 11) & 0xff, those of floats, too."""
    data = ((np.arange(t.bytes) * 37 + 11) & 0xFF).astype(np.uint8)
    return data.view(t.dtype.carrier).reshape(1, *t.shape)


def conditions() -> dict[str, str]:
    """What figures depend on besides the code."""
    return {"compiler": version("arm-none-eabi-gcc"), "emulator": version("qemu-system-arm"), "optimization": "-O2"}


def measure(case: Case) -> dict[str, Any]:
    """Build, run one inference and collect the figures; of a model that doesn't fit, only why."""
    row: dict[str, Any] = {
        "model": case.model,
        "target": case.target,
        "core": {**TARGETS, **BOARDS}.get(case.target, case.target),
        "schedule": case.schedule,
        "optimize": case.optimize,
    }
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        try:
            build = tinycompile.compile(
                SHARED / "models" / f"{case.model}.tflite",
                target=case.target,
                output=Path(name) / "out",
                optimize=case.optimize,
                schedule=case.schedule,
            )
        except DoesNotFitError as error:
            return {**row, "error": error.what}
        row |= figures(build)
    print(f"{line(row)}  ({time.perf_counter() - begin:.0f} s)", flush=True)
    return row


def figures(build: Build) -> dict[str, Any]:
    """Everything that is measured of a build."""
    profile, report = profile_build(build, [pattern(t) for t in build.inputs]), build.report
    by_op = defaultdict[str, list[int]](lambda: [0, 0])
    for layer, counted in zip(report["layers"], profile["layers"], strict=True):
        by_op[layer["op"]][0] += counted["instructions"]
        by_op[layer["op"]][1] += layer["macs"]
    return {
        "instructions": profile["instructions"],
        "cycles_estimate": profile["cycles"],
        "error_percent": profile["error_percent"],
        "macs": report["macs"],
        "flash": {key: report["flash"][key] for key in ("weights_bytes", "code_bytes")},
        "ram": {key: report["ram"][key] for key in ("arena_bytes", "scratch_bytes", "stack_bytes", "total_bytes")},
        "by_op": {op: {"instructions": i, "macs": m} for op, (i, m) in sorted(by_op.items())},
    }


def changes(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """(what has changed in a row, whether it is worse by more than `WORSE`)."""
    before = {_key(row): row for row in old}
    for row in new:
        name = " ".join(_key(row))
        if _key(row) not in before:
            yield f"{name}: new", False
            continue
        for what, a, b in _figures(before[_key(row)], row):
            if a is None or b is None:
                if a != b:
                    yield f"{name}: {what} {'fits now' if a is None else 'no longer fits'}", b is None
            elif a != b:
                yield f"{name}: {what} {a:,} -> {b:,} ({100 * (b / a - 1):+.2f} %)", b > a * (1 + WORSE)


def _key(row: dict[str, Any]) -> tuple[str, str, str, str]:
    return Case(row["model"], row["target"], row["schedule"], row["optimize"]).key


def _figures(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, int | None, int | None]]:
    paths = (
        ("instructions",),
        ("ram", "arena_bytes"),
        ("ram", "stack_bytes"),
        ("flash", "weights_bytes"),
        ("flash", "code_bytes"),
    )
    for path in paths:
        yield path[-1], _at(old, path), _at(new, path)


def _at(row: Any, path: Sequence[str]) -> int | None:
    for key in path:
        row = row.get(key) if row is not None else None
    return row


def compare(rows: Sequence[dict[str, Any]]) -> int:
    """Print what has changed; exit status."""
    committed = json.loads(RESULTS.read_text())
    found = list(changes(committed["rows"], rows))
    for text, worse in found:
        print(f"{'WORSE ' if worse else '      '}{text}")
    if not found:
        print(f"no change in {len(rows)} builds")
    if committed["conditions"] != conditions():
        print(f"measured under other conditions: {committed['conditions']}, now {conditions()}")
        return 0
    return int(any(worse for _, worse in found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--targets", nargs="*")
    parser.add_argument("--schedules", nargs="*", default=SCHEDULES)
    parser.add_argument("--quick", action="store_true", help="few models and cores")
    parser.add_argument("--compare", action="store_true", help="write nothing; exit 1 where something is worse")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    options = parser.parse_args()
    if not SHARED.exists():
        sys.exit("make bench needs ../shared/models, which is not part of the repository")
    models = options.models or (QUICK_MODELS if options.quick else MODELS)
    targets = options.targets or (QUICK_TARGETS if options.quick else tuple(TARGETS))
    with ProcessPoolExecutor(options.jobs) as pool:
        rows = list[dict[str, Any]]()
        for row in pool.map(measure, cases(models, targets, options.schedules)):
            rows.append(row)
            if not options.compare:  # as they come, so that an interruption loses nothing
                save(rows)
    return compare(rows) if options.compare else 0


def save(rows: Sequence[dict[str, Any]]) -> None:
    """Write both files; rows of cases that weren't measured now stay."""
    earlier = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    known = {_key(row): row for row in [*earlier, *rows]}
    everything = [case.key for case in cases(MODELS, tuple(TARGETS), SCHEDULES)]
    document = {"conditions": conditions(), "rows": [known[key] for key in everything if key in known]}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    (HERE / "results.md").write_text(markdown(document, json.loads((HERE / "peers.json").read_text())))
    README.write_text(updated(README.read_text()))


if __name__ == "__main__":
    sys.exit(main())
