"""The reference of a model with fewer tokens behind an attention: no runtime has it, so its definition is asked.

What is in front of the pruning is compared with the framework, as in any other model; what is behind it, and the
outputs, with the pruned graph of the source file, run by the operators' definitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from tinycompile import interpreter
from tinycompile.build import Build
from tinycompile.choices import Runtime
from tinycompile.ir import Array
from tinycompile.lowering import imported
from tinycompile.options import Options
from tinycompile.verify.reference import Expected, Judged, Reference, Reported, Witness
from tinycompile.version import __version__


class PrunedReference:
    """Asks another reference about layers that the source model has.

    Args:
        reference: of the source model.
    """

    def __init__(self, reference: Reference, build: Build) -> None:
        self._reference, options = reference, _options_of(build)
        self._graph = imported(build.source, options)
        self._states: dict[str, Array] | None = None
        what = f"--keep-tokens {' '.join(options.keep_tokens)}"
        self._own = Witness("tinycompile's definitions", __version__, what)

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        return (*self._reference.witnesses, self._own)

    def judge(self, inputs: Sequence[Array], reported: Sequence[Reported]) -> Judged:
        """Of one sample."""
        graph = self._graph
        given = [np.reshape(x, graph.types[name].shape) for x, name in zip(inputs, graph.inputs, strict=True)]
        values = interpreter.run(graph, given, self._states)
        self._states = interpreter.following(graph, values)
        judged = self._reference.judge(inputs, [each for each in reported if each.entry["source_index"] is not None])
        return _PrunedSample(judged, values, graph.outputs, len(self._reference.witnesses))

    def reset(self) -> None:
        self._states = None
        self._reference.reset()

    def skipped(self, entries: Sequence[dict[str, Any]]) -> list[str]:
        left = [entry for entry in entries if not _is_ours(entry, self._graph.types)]
        return self._reference.skipped(left)


class _PrunedSample:
    def __init__(self, judged: Judged, values: dict[str, Array], outputs: Sequence[str], by: int) -> None:
        self._judged, self._values, self._outputs, self._by = judged, values, outputs, by

    def layer(self, entry: dict[str, Any]) -> Expected | None:
        if _is_ours(entry, self._values):
            return self._expected(entry["name"])
        return None if entry["source_index"] is None else self._judged.layer(entry)

    def output(self, index: int, entry: dict[str, Any]) -> Expected:
        return self._expected(self._outputs[index])

    def _expected(self, name: str) -> Expected:
        values = self._values[name]
        return Expected(values, bits=values.dtype.kind != "f", by=self._by)


def _is_ours(entry: dict[str, Any], values: Any) -> bool:
    """Whether a layer's tensor is one of the pruned graph that the source model hasn't, as a whole."""
    found = values.get(entry["name"]) if entry["source_index"] is None else None
    return found is not None and tuple(found.shape) == tuple(entry["shape"])


def _options_of(build: Build) -> Options:
    """Those that the graph of a build depends on."""
    facts = build.report["options"]
    quantized = build.report.get("quantization") is not None
    return Options(
        io=facts["io"],
        layout=facts["layout"],
        shapes=tuple((name, tuple(shape)) for name, shape in facts["shapes"].items()),
        states=tuple(facts["states"].items()),
        signature=None if quantized else facts["signature"],
        dtype="float32" if facts["floats"] == "all" else "int8",
        strict_int8=facts["floats"] == "none",
        match=cast(Runtime, facts["match"]),
        keep_tokens=tuple(facts["keep_tokens"]),
        backend=tuple(facts.get("backend", ())),
    )
