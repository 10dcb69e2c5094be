"""The reference of a model whose input is a camera's frame: the source model, on the image that the definition of the
front end makes of the frame.
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
    camera = options.camera_input
    if camera is None:
        raise ValueError("the build has no camera")
    graph = imported(build.source, replace(options, camera=None, crop=None, resize=Options.resize))
    (name,) = graph.inputs
    own, t = graph.types[name], graph.types[image_of(graph)[0]]
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
    return whole, front_end(camera, "image", t), own.shape


class FramedReference:
    """Asks another reference about images.

    Args:
        reference: of the source model. front: from a frame to its image. shape: that the source model has it in.
    """

    def __init__(self, reference: Reference, front: Graph, shape: tuple[int, ...]) -> None:
        self._reference, self._front, self._shape = reference, front, shape

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        """The front end's definition is ours, which is said; the last one is still who decides ties."""
        first, *others = self._reference.witnesses
        return (first, Witness("tinycompile's definitions", __version__, "--camera"), *others)

    def judge(self, inputs: Sequence[Array], reported: Sequence[Reported]) -> Judged:
        (image,) = self._front.outputs
        frame = np.reshape(inputs[0], self._front.types[self._front.inputs[0]].shape)
        made = interpreter.run(self._front, [frame])[image]
        if made.shape != self._shape:
            made = made.transpose(0, 3, 1, 2)
        return self._reference.judge([made], reported)

    def reset(self) -> None:
        self._reference.reset()

    def skipped(self, entries: Sequence[dict[str, Any]]) -> list[str]:
        return self._reference.skipped(entries)
