"""What a build's training steps are by definition: the graph, and NumPy."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.build import Build
from tinycompile.errors import UsageError
from tinycompile.lowering import imported, ready
from tinycompile.options import Options
from tinycompile.passes.stream_input import with_rows
from tinycompile.predecessor import options_of_build
from tinycompile.training.step import TrainingStep, training_of


def step_of(build: Build) -> TrainingStep:
    """The training step of a build, from its source.

    Raises:
        UsageError: the model doesn't learn, or its source is gone.
    """
    if not build.source.is_file():
        raise UsageError("the build has lost its model", where=str(build.source), why="it says what a step computes")
    options = options_of_build(build.folder, build.report, Options())
    whole = replace(options, input_stream="none")
    graph = ready(imported(build.source, options), whole)
    step = training_of(with_rows(graph) if options.input_stream == "rows" else graph)
    if step is None:
        raise UsageError("this model doesn't learn", where=str(build.folder), hint="build it with --train")
    return step
