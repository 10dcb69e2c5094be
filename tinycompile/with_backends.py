"""A project with what `--backend` makes of its model's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinycompile import interpreter
from tinycompile.backends.anomaly import Anomaly
from tinycompile.backends.resolve import resolve
from tinycompile.codegen.project import Project
from tinycompile.errors import UsageError
from tinycompile.ir import Array
from tinycompile.lowered import Lowered
from tinycompile.lowering import imported
from tinycompile.options import Options
from tinycompile.progress import step
from tinycompile.samples import load_arrays, real_inputs


def with_backends(project: Project, models: Sequence[Lowered], options: Options) -> Project:
    """With the constants that the requests and the model's edges say.

    Raises:
        UsageError: an output isn't what a back end needs. SamplesError: data for a limit don't fit the model.
    """
    requests = options.backends
    if not requests:
        return project
    (program,), (lowered,) = project.programs, models
    partial = options.slide is not None or options.input_stream == "rows"
    for request in requests:
        if request.kind == "anomaly" and partial:
            why = "the caller never has the whole input, which the output is compared with"
            raise request.fail("it doesn't go with --slide or --input-stream rows", why=why)
    inputs, outputs = ([edge for edge in program.edges if edge.kind == kind] for kind in ("input", "output"))

    def errors(path: Path, of: Anomaly) -> Array:
        """By the operators' definitions, which the firmware equals."""
        names = [edge.name for edge in inputs]
        samples, _ = real_inputs(load_arrays(path), [edge.type for edge in inputs], where=str(path), names=names)
        graph, found = imported(lowered.source, options), list[Array]()
        if graph.states:
            raise UsageError(
                "--backend anomaly: data are for a model without states", where=str(path), hint="threshold="
            )
        for i in range(len(samples[0])):
            step(f"how far outputs are from inputs: sample {i + 1:,} of {len(samples[0]):,}")
            values = interpreter.run(
                graph, [array[i].reshape(graph.types[name].shape) for array, name in _pairs(samples, graph.inputs)]
            )
            found.append(of(samples[of.input][i : i + 1], values[graph.outputs[of.output]][None]))
        return np.concatenate(found)

    types = [edge.type for edge in inputs], [edge.type for edge in outputs]
    found = resolve(requests, *types, errors, folded=lowered.folded is not None)
    return replace(project, programs=(replace(program, backends=found),))


def _pairs(samples: Sequence[Array], names: Sequence[str]) -> list[tuple[Array, str]]:
    return list(zip(samples, names, strict=True))
