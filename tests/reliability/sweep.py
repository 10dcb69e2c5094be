"""`make reliability`: every model in every variant. A line per check, at the end the figures, also as JSON.

`python -m tests.reliability.sweep --models NAME ... --cores mps2-an386 ... --parts sanitizers levels clang hosts ...`
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import tinycompile
from tests.conftest import DIGITS, SHARED
from tests.reliability.variants import (
    ANALYZERS,
    HOSTS,
    LEVELS,
    SANITIZERS,
    analyzed,
    at_level,
    by_clang,
    on_host,
    sanitized,
)
from tests.support.random_model import RandomModel
from tinycompile.build import Build
from tinycompile.errors import DoesNotFitError, ToolFailedError

PARTS = ("sanitizers", "analyzers", "levels", "clang", "hosts")
SHARED_MODELS = ("ad01_int8", "kws_ref_model", "ic_resnet8_int8", "vww_96_int8", "mcunet_vww")
CORES = ("mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547")
CLANG_CORES = ("mps2-an386", "mps2-an500")
SCHEDULES = ("layer", "stream", "patch")
RANDOM = 12
SAMPLES = 1


class Sweep:
    """Counts what was checked and what failed."""

    def __init__(
        self, models: list[str], parts: list[str], cores: list[str], schedules: list[str], folder: Path
    ) -> None:
        self.models, self.parts, self.cores, self.schedules, self.folder = models, parts, cores, schedules, folder
        self.passed, self.failed, self.seconds = Counter[str](), list[str](), Counter[str]()

    def run(self) -> None:
        for name, path, inputs in self._cases():
            for target in self.cores:
                for schedule in self.schedules:
                    self._build(name, path, inputs, target, schedule)

    def _cases(self) -> Iterator[tuple[str, Path, list[np.ndarray]]]:
        for name in self.models:
            if name.startswith("random"):
                seed = int(name.removeprefix("random"))
                content, shape = RandomModel(seed).build(layers=3 + seed % 5)
                path = self.folder / f"{name}.tflite"
                path.write_bytes(content)
                yield name, path, [np.random.default_rng(seed).integers(-128, 128, (2, *shape)).astype(np.int8)]
                continue
            samples = DIGITS / "digits_samples.npz" if name == "digits_int8" else SHARED / "golden" / f"{name}.npz"
            path = DIGITS / f"{name}.tflite" if name == "digits_int8" else SHARED / "models" / f"{name}.tflite"
            with np.load(samples) as file:
                count = sum(key.startswith("input_") for key in file.files)
                yield name, path, [file[f"input_{i}"][:SAMPLES] for i in range(count)]

    def _build(self, name: str, path: Path, inputs: list[np.ndarray], target: str, schedule: str) -> None:
        with tempfile.TemporaryDirectory() as work:
            try:
                build = tinycompile.compile(path, target, output=Path(work) / "out", schedule=schedule)
            except DoesNotFitError:
                return
            expected = build.run(*inputs)
            outputs = expected if isinstance(expected, list) else [expected]
            for part, label, check in self._checks(build, inputs, outputs, target, Path(work)):
                start = time.monotonic()
                try:
                    check()
                    self.passed[part] += 1
                    verdict = "ok"
                except (AssertionError, subprocess.CalledProcessError, ToolFailedError) as error:
                    verdict = f"FAILED: {getattr(error, 'stderr', '') or error}"
                    self.failed.append(f"{name} {target} {schedule} {label}: {verdict[:2000]}")
                self.seconds[part] += time.monotonic() - start
                print(f"{name} {target} {schedule} {label}: {verdict}", flush=True)

    def _checks(
        self, build: Build, inputs: list[np.ndarray], expected: list[np.ndarray], target: str, work: Path
    ) -> Iterator[tuple[str, str, Callable[[], object]]]:
        def same(run: Callable[[], list[np.ndarray]]) -> None:
            for got, want in zip(run(), expected, strict=True):
                assert got.tobytes() == want.tobytes(), "another result"

        if "sanitizers" in self.parts:
            for kind in SANITIZERS:
                yield "sanitizers", kind, lambda k=kind: same(lambda: sanitized(build, inputs, k, work / k))
        if "analyzers" in self.parts:
            for kind in ANALYZERS:
                yield "analyzers", kind, lambda k=kind: analyzed(build, k)
        if "levels" in self.parts:
            for level in LEVELS:
                yield "levels", level, lambda at=level: same(lambda: at_level(build, at, inputs))
        if "clang" in self.parts and target in CLANG_CORES:
            yield "clang", "clang -O2", lambda: same(lambda: by_clang(build, inputs))
        if "hosts" in self.parts:
            for host in HOSTS:
                compiler, level = host.split()
                folder = work / host.replace(" ", "")
                yield "hosts", host, lambda c=compiler, o=level, f=folder: same(lambda: on_host(build, inputs, c, o, f))


def main() -> None:
    default = ["digits_int8", *(m for m in SHARED_MODELS if SHARED.exists()), *(f"random{i}" for i in range(RANDOM))]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=default)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--cores", nargs="+", default=list(CORES), choices=CORES)
    parser.add_argument("--schedules", nargs="+", default=list(SCHEDULES), choices=SCHEDULES)
    parser.add_argument("--output", type=Path, default=Path("build/reliability.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(arguments.models, arguments.parts, arguments.cores, arguments.schedules, Path(folder))
        sweep.run()
    seconds = {part: round(value) for part, value in sweep.seconds.items()}
    figures = {"passed": dict(sweep.passed), "failed": sweep.failed, "seconds": seconds}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(figures, indent=2))
    print(json.dumps(figures, indent=2))
    sys.exit(1 if sweep.failed else 0)


if __name__ == "__main__":
    main()
