"""What was learned as an output folder: the same build with other parameters, and a checkpoint for devices that have
the old one.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import TinycompileWarning, UsageError
from tinycompile.learning.definition import step_of
from tinycompile.learning.train import Training
from tinycompile.lowering import imported
from tinycompile.options import Options
from tinycompile.passes import optimize
from tinycompile.pipeline import compile_together
from tinycompile.predecessor import options_of_build
from tinycompile.temporary import TemporaryFolder
from tinycompile.training.model_file import trained_tflite
from tinycompile.training.request import learnable_part, read_request
from tinycompile.written import TFLITE


def build_trained(build: Build, training: Training, output: Path, *, force: bool = False) -> Build:
    """Compile a model again, with the parameters that it has learned, and with its own options.

    `output`/source/parameters.npz has the parameters by name, `output`/<model>_checkpoint.bin is a slot for
    `<model>_load` of the build before, and `output`/<model>_trained.tflite the model's file with what was
    learned, if it is one of TFLite.

    Raises:
        UsageError: the output folder holds what would be overwritten.
    """
    with TemporaryFolder("trained") as name:
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
        files = {f"{build.model}_checkpoint.bin": training.checkpoint, **_model_file(build, training)}
        (found,) = compile_together([build.source], options, output=output, force=force, beside=files)
    return found


def _model_file(build: Build, training: Training) -> dict[str, bytes]:
    """The source with what was learned, by its name; warns where it can't hold that."""
    if build.source.suffix.lower() != TFLITE:
        return {}
    name = f"{build.model}_trained.tflite"
    options = options_of_build(build.folder, build.report, Options())
    graph = optimize(imported(build.source, options), ())
    try:
        if options.classes is not None:
            raise UsageError("the model's file has another head", hint="parameters.npz has all that was learned")
        learnable = learnable_part(graph, read_request(options.train or "", options.classes))
        step, parameters = step_of(build), training.parameters
        return {name: trained_tflite(build.source.read_bytes(), graph, step, parameters, learnable)}
    except UsageError as error:
        warnings.warn(f"{name} isn't written: {error}", TinycompileWarning, stacklevel=2)
        return {}
