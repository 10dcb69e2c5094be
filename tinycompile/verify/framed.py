"""The reference of a model behind a front end: the source model, on the image that the front end's definition makes of
a camera's frame, or on the window that it makes of samples of motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from tinycompile import interpreter
from tinycompile.build import Build
from tinycompile.ir import Array, Graph
from tinycompile.lowering import imported
from tinycompile.motion.front_end import front_end as motion_front_end
from tinycompile.options import Options
from tinycompile.passes.camera import front_end, image_of
from tinycompile.predecessor import options_of_build
from tinycompile.verify.reference import Judged, Reference, Reported, Witness
from tinycompile.version import __version__


def front_end_of(build: Build) -> tuple[Build, Graph, tuple[int, ...]]:
    """(the build as references read it, with the input that the source model has; the front end; the shape of that
    input, which has channels first where the file has).
    """
    options = options_of_build(build.folder, build.report, Options())
    camera, motion = options.camera_input, options.motion
    plain = replace(options, camera=None, crop=None, resize=Options.resize, frontend=None)
    graph = imported(build.source, plain)
    (name,) = graph.inputs
    own = graph.types[name]
    whole, source = copy(build), graph.sources.get(name)
    entry: dict[str, Any] = {
        **build.report["inputs"][0],
        "name": name,
        "shape": list(own.shape),
        "dtype": own.dtype.name,
        "scale": None if own.quant is None else float(own.scale),
        "zero_point": None if own.quant is None else own.zero_point,
        "source_index": None if source is None else source.index,
    }
    whole.report = {**build.report, "inputs": [entry]}
    if motion is not None:
        return whole, motion_front_end(motion, "window", own), own.shape
    if camera is None:
        raise ValueError("the build has no front end")
    return whole, front_end(camera, "image", graph.types[image_of(graph)[0]]), own.shape


class FramedReference:
    """Asks another reference about images, or about windows, which go on from those before.

    Args:
        reference: of the source model. front: from a frame, or a hop, to what the source model is given.
        shape: that the source model has it in.
    """

    def __init__(self, reference: Reference, front: Graph, shape: tuple[int, ...]) -> None:
        self._reference, self._front, self._shape = reference, front, shape
        self._states = interpreter.initial(front)

    @property
    def _option(self) -> str:
        return "--frontend" if self._front.name == "motion" else "--camera"

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        """Those that results are counted for by number, and ours, whose definition the front end is."""
        return (*self._reference.witnesses, Witness("tinycompile's definitions", __version__, self._option))

    def judge(self, inputs: Sequence[Array], reported: Sequence[Reported]) -> Judged:
        (image,) = self._front.outputs
        frame = np.reshape(inputs[0], self._front.types[self._front.inputs[0]].shape)
        values = interpreter.run(self._front, [frame], self._states)
        self._states, made = interpreter.following(self._front, values), values[image]
        if made.shape != self._shape:
            made = made.transpose(0, 3, 1, 2)
        return self._reference.judge([made], reported)

    def reset(self) -> None:
        self._states = interpreter.initial(self._front)
        self._reference.reset()

    def skipped(self, entries: Sequence[dict[str, Any]]) -> list[str]:
        return self._reference.skipped(entries)
