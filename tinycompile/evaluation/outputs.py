"""What a build, its reference and the float model make of samples."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import UsageError
from tinycompile.evaluation.data import Labelled
from tinycompile.host import HostModel
from tinycompile.ir import Array
from tinycompile.progress import step
from tinycompile.samples import real_values


def firmware_outputs(build: Build, data: Labelled, on: str, jobs: int) -> Array:
    """The measured output as real numbers, (samples, *shape): by the firmware in QEMU or its C on this machine.

    Args:
        on: "host" or "qemu".
        jobs: threads; the C runs without Python's lock.
    """
    if on == "qemu":
        if build.board.is_host:
            raise UsageError("a build for the host has no firmware to run in QEMU", hint="--on host")
        step(f"running {len(data):,} samples in QEMU")
        found = build.execute(data.inputs, data.steps).outputs[data.output]
    else:
        step(f"running {len(data):,} samples on this machine")
        found = _on_host(build, data, jobs)
    return real_values(found, build.outputs[data.output]).astype(np.float64)


def _on_host(build: Build, data: Labelled, jobs: int) -> Array:
    steps = data.steps or 1
    sequences = len(data) // steps
    if build.report["ram"]["state_bytes"] and not data.steps:
        steps, sequences = len(data), 1  # all samples are one sequence, as in QEMU
    workers = max(1, min(jobs, sequences))
    models = [build.host, *(build.host.twin() for _ in range(workers - 1))]
    bounds = [sequences * i // workers * steps for i in range(workers + 1)]

    def work(number: int) -> list[Array]:
        return _run(models[number], data, range(bounds[number], bounds[number + 1]), steps)

    with ThreadPoolExecutor(workers) as pool:
        return np.stack([output for part in pool.map(work, range(workers)) for output in part])


def _run(model: HostModel, data: Labelled, samples: range, steps: int) -> list[Array]:
    found = list[Array]()
    for i in samples:
        if i % steps == 0:
            model.reset()
        found.append(model.run([array[i] for array in data.inputs])[data.output])
    return found
