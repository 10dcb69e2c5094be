"""Fuzzing for as long as you like: `python -m tests.fuzz.run --files 200000`; `make fuzz` does it.

A worker process with limits tries one file after the other; a supervisor starts it again where a file took it down.
What failed is kept with its traceback. A file is made again from (seed, index) alone: `--files 1 --first INDEX`.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

SECONDS = 10
"""Of the processor for one file: more is slow."""
WITHOUT_END = 6 * SECONDS
"""Of the processor: the process is ended, with a traceback."""
WAITING = 100 * SECONDS
"""By the clock, which other programs slow down: what doesn't compute, but waits for ever, is ended, too."""
MEMORY_BYTES = 2 << 30


def watch(computing: float, waiting: float) -> None:
    """End this process with a traceback after so many seconds of the processor, or of the clock; 0 and 0: no longer."""
    faulthandler.register(signal.SIGPROF, chain=True)
    signal.setitimer(signal.ITIMER_PROF, computing)
    if waiting:
        faulthandler.dump_traceback_later(waiting, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()


def worker(seed: int, first: int, last: int, output: Path) -> None:
    """Try the files [first, last); after each one the state is on disk."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from tests.fuzz.attempt import attempt, make_file

    state, counts, slowest = output / "state.json", Counter[str](), 0.0
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm") as name:
        folder = Path(name)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        marker = os.open(output / "current", os.O_WRONLY | os.O_CREAT)
        for index in range(first, last):
            os.pwrite(marker, b"%-20d" % index, 0)
            path = make_file(seed, index, folder)
            watch(WITHOUT_END, WAITING)
            start = time.process_time()
            try:
                counts[f"{path.suffix} {attempt(path, seed, index, folder / 'c')}"] += 1
            except Exception:
                counts["crash"] += 1
                (output / f"crash_{index}.txt").write_text(traceback.format_exc()[-20_000:])
            watch(0, 0)
            slowest = max(slowest, seconds := time.process_time() - start)
            if seconds > SECONDS:
                counts["slow"] += 1
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
            if seconds > 1 or grown > 100_000:
                (output / f"costly_{index}.txt").write_text(f"{seconds:.1f} s, {grown} KiB more")
            peak += grown
            path.unlink()
            if index % 50 == 49 or index == last - 1:
                state.write_text(json.dumps([index + 1, counts, slowest, peak]))


def supervise(seed: int, first: int, files: int, output: Path) -> Counter[str]:
    """Run workers until every file was tried; counts of outcomes."""
    output.mkdir(parents=True, exist_ok=True)
    total, last, slowest, peak = Counter[str](), first + files, 0.0, 0
    while first < last:
        (output / "state.json").unlink(missing_ok=True)
        chunk = min(last, first + 5000)
        command = [sys.executable, "-m", "tests.fuzz.run", "--worker", "--seed", str(seed), "--first", str(first)]
        with (output / "stderr.txt").open("w") as log:
            done = subprocess.run([*command, "--files", str(chunk - first), "--output", output], stderr=log)
        reached, counts = first, dict[str, int]()
        if (output / "state.json").exists():
            reached, counts, seconds, memory = json.loads((output / "state.json").read_text())
            slowest, peak = max(slowest, seconds), max(peak, memory)
        total.update(counts)
        if done.returncode != 0:  # taken down by `current`; what came since the last state is lost from the counts
            culprit = int((output / "current").read_text())
            log_text = (output / "stderr.txt").read_text()[-20_000:]
            (output / f"crash_{culprit}.txt").write_text(f"exit status {done.returncode}\n{log_text}")
            total["died"] += 1
            total["uncounted"] += culprit - reached
            reached = culprit + 1
        first = reached
        summary = {"files": first, "slowest_seconds": slowest, "peak_kib": peak, **dict(sorted(total.items()))}
        (output / "summary.json").write_text(json.dumps(summary, indent=2))
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--worker", action="store_true")
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.seed, arguments.first, arguments.first + arguments.files, arguments.output)
        return
    total = supervise(arguments.seed, arguments.first, arguments.files, arguments.output)
    print((arguments.output / "summary.json").read_text())
    sys.exit(1 if total["crash"] or total["died"] or total["slow"] else 0)


if __name__ == "__main__":
    main()
