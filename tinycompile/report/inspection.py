"""`tinycompile inspect`: what a model file holds, and what a target can't compile of it, before any build."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from tinycompile.choices import Runtime
from tinycompile.errors import QuantizationNeededError, UnsupportedError
from tinycompile.frontend import Floats, load
from tinycompile.frontend.survey import Survey, SurveyTensor, naive_peak, survey
from tinycompile.frontend.tflite_support import SUPPORT
from tinycompile.ir import Graph
from tinycompile.kernels import kernels_for
from tinycompile.passes import optimize
from tinycompile.report.operators import support_text
from tinycompile.report.ranges import implausible_ranges
from tinycompile.targets import Board

_MOST_RANGES = 5

INT8_OF_FLOAT = 4
"""Times less RAM after quantisation."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """What `inspect` found.

    Attributes:
        macs: nominal multiply-accumulates of one inference.
        naive_peak_bytes: most bytes of tensors in use at once, in the order of the file, if none shares memory; of
            float models that will be quantised, as int8.
        problems: (operator, reason) of everything that the target can't compile.
        ranges: (tensor, what is wrong) of quantised ranges that can't be meant.
        remarks: what a user should know, such as layers that run in float32.
    """

    file: str
    survey: Survey
    target: str
    macs: int
    naive_peak_bytes: int
    problems: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...] = field(default=())
    ranges: tuple[tuple[str, str], ...] = field(default=())

    @property
    def supported(self) -> bool:
        return not self.problems

    @property
    def oracles(self) -> dict[str, dict[str, str]]:
        """Per TFLite operator: the types that it is compiled with, and whose bytes it has there."""
        if self.survey.format != "tflite":
            return {}
        return {name: dict(SUPPORT[name].oracles) for name, _ in self.survey.kinds() if name in SUPPORT}

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        weights = self.survey.weights
        return {
            "file": self.file,
            "format": self.survey.format,
            "float": self.survey.float_model,
            "inputs": [_tensor(t) for t in self.survey.inputs],
            "outputs": [_tensor(t) for t in self.survey.outputs],
            "operators": dict(self.survey.kinds()),
            "oracles": self.oracles,
            "weights": {"values": sum(prod(t.shape) for t in weights), "bytes": sum(t.bytes for t in weights)},
            "macs": self.macs,
            "naive_peak_bytes": self.naive_peak_bytes,
            "target": self.target,
            "supported": self.supported,
            "unsupported": [{"operator": operator, "reason": reason} for operator, reason in self.problems],
            "remarks": list(self.remarks),
            "implausible_ranges": [{"tensor": tensor, "reason": reason} for tensor, reason in self.ranges],
        }

    def lines(self) -> Iterator[str]:
        """For a person."""
        found = self.as_dict()
        kind = "float32" if self.survey.float_model else "quantised"
        yield f"{self.file}: {self.survey.format}, {kind}"
        for role in ("inputs", "outputs"):
            for tensor in found[role]:
                shape = "x".join(map(str, tensor["shape"])) or "?"
                yield f"{role[:-1]:<12} {tensor['name']}: {tensor['dtype']} {shape}, {tensor['bytes']:,} bytes"
        yield f"{'operators':<12} {len(self.survey.operators)}"
        for name, count in self.survey.kinds():
            known = support_text(name) if self.survey.format == "tflite" else ""
            yield f"{'':<12} {count:>5} {name:<24} {known}".rstrip()
        yield f"{'weights':<12} {found['weights']['values']:,} values, {found['weights']['bytes']:,} bytes"
        yield f"{'MACs':<12} {self.macs:,}"
        as_int8 = " as int8" if self.survey.wants_int8 else ""
        yield f"{'naive peak':<12} {self.naive_peak_bytes:,} bytes of tensors{as_int8}, if none shares memory"
        for remark in self.remarks:
            yield f"{'note':<12} {remark}"
        for tensor, reason in self.ranges[:_MOST_RANGES]:
            yield f"{'range':<12} {tensor}: {reason}"
        if len(self.ranges) > _MOST_RANGES:
            yield f"{'range':<12} ... and {len(self.ranges) - _MOST_RANGES} more (--json has all)"
        if self.supported:
            yield f"{self.target:<12} can compile every operator"
            return
        count = len(self.problems)
        yield f"{self.target:<12} can't compile {count} operator{'s' if count > 1 else ''}:"
        for operator, reason in self.problems:
            yield f"{'':<12} {operator}: {reason}"


def inspect_model(
    path: Path,
    board: Board,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    layout: str = "model",
    floats: Floats = "islands",
    signature: str | None = None,
    match: Runtime = "litert",
) -> Inspection:
    """Look at a model without building it.

    Args:
        shapes, layout, floats, signature, match: as for `frontend.load`.

    Raises:
        ModelFileError: not a model, or broken. UnsupportedError: of the file as a whole, such as dynamic shapes.
    """
    found = survey(path, shapes, signature)
    graph, problems, remarks = _imported(path, found, shapes, layout, floats, signature, match)
    if graph is not None:
        try:
            kernels_for(optimize(graph), board.core)
        except UnsupportedError as error:
            problems = error.problems
    return Inspection(
        str(path),
        found,
        board.name,
        found.macs if graph is None else graph.macs(),
        _peak(found, graph, floats),
        tuple(problems),
        tuple(remarks),
        () if graph is None else tuple(implausible_ranges(graph)),
    )


def _imported(
    path: Path,
    found: Survey,
    shapes: Mapping[str, tuple[int, ...]] | None,
    layout: str,
    floats: Floats,
    signature: str | None,
    match: Runtime,
) -> tuple[Graph | None, tuple[tuple[str, str], ...], list[str]]:
    """The graph if everything can be imported, else the problems; and remarks."""
    remarks = list[str]()
    if found.wants_int8 and floats != "all":
        remarks.append("a float model: `build` needs --calib to quantise it, or --dtype float32")
        floats = "all"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            graph, problems = load(path, shapes, layout, floats, signature, match), ()
        except UnsupportedError as error:
            graph, problems = None, error.problems
        except QuantizationNeededError as error:
            graph, problems = None, ((error.what, f"{error.why}; {error.hint}"),)
    notes = () if graph is None else graph.notes
    return graph, problems, [*remarks, *(str(warning.message) for warning in caught), *notes]


def _peak(found: Survey, graph: Graph | None, floats: Floats) -> int:
    if graph is None:
        sizes = {key: t.bytes for key, t in found.tensors.items() if not t.constant}
        steps = ((op.inputs, op.outputs) for op in found.operators)
        given, results = {t.key for t in found.inputs}, {t.key for t in found.outputs}
    else:
        sizes = {name: t.bytes for name, t in graph.types.items() if name not in graph.constants}
        steps = ((node.inputs, node.outputs) for node in graph.nodes)
        given, results = set(graph.inputs), set(graph.outputs)
    peak = naive_peak(steps, given, results, sizes)
    return peak // INT8_OF_FLOAT if found.wants_int8 and floats != "all" else peak


def _tensor(tensor: SurveyTensor) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.type_name, "bytes": tensor.bytes}
