"""What was learned as an output folder: the same build with other parameters, and a checkpoint for devices that have
the old one.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.learning.train import Training
from tinycompile.options import Options
from tinycompile.pipeline import compile_together
from tinycompile.predecessor import options_of_build


def build_trained(build: Build, training: Training, output: Path, *, force: bool = False) -> Build:
    """Compile a model again, with the parameters that it has learned, and with its own options.

    `output`/source/parameters.npz has the parameters by name, `output`/<model>_checkpoint.bin is a slot for
    `<model>_load` of the build before.

    Raises:
        UsageError: the output folder holds what would be overwritten.
    """
    with tempfile.TemporaryDirectory(prefix="tinycompile-trained-") as name:
        folder = Path(name)
        arrays: dict[str, Any] = dict(training.parameters)
        np.savez(folder / "parameters.npz", **arrays)
        labels = tuple(build.report["labels"])
        if labels:
            (folder / "labels.txt").write_text("\n".join(labels) + "\n", "utf-8")
        options = replace(
            options_of_build(build.folder, build.report, Options()),
            parameters=folder / "parameters.npz",
            labels=(folder / "labels.txt",) if labels else (),
        )
        (found,) = compile_together([build.source], options, output=output, force=force)
    (output / f"{build.model}_checkpoint.bin").write_bytes(training.checkpoint)
    return found
