"""`make quantisers`, last step: what tinycompile makes of each file, against onnxruntime with its optimisations off.

A line for each file that isn't equal, and a table for each tool. Each file is read, and its meaning computed by the interpreter
for some held-out samples:

* equal: the outputs are onnxruntime's, bit for bit, or floats within 1e-5 of the largest;
* ties: they aren't, but every tensor is, computed by onnxruntime from ours in front of it, or is the exact sum's where floats tie
  (or one step of 16 bits beside it, where a float32 part computes it: `FEW`);
* wrong: neither. refused: with the reason. invalid: onnxruntime doesn't run it.

`float32` counts the files of which a part runs in float32; `--floats` names the nodes that cause it.

`python -m benchmarks.quantisers.check NETS FILES [--only aimet silu] [--samples 4] [--floats]`
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from tinycompile import interpreter
from tinycompile.errors import FloatIslandWarning, TinycompileError
from tinycompile.frontend.onnx import import_places, is_quantized, quantization_needed
from tinycompile.frontend.onnx_contrib import expand
from tinycompile.frontend.onnx_file import read_proto, static_model
from tinycompile.ir import Array, Graph
from tinycompile.verify.cut import CutModel, RuntimeRefusesError
from tinycompile.verify.exact import ExactEvaluator
from tinycompile.verify.exact_values import CannotEvaluateError
from tinycompile.verify.places import Place

KINDS = ("equal", "ties", "wrong", "refused", "invalid")
BOUND = 1e-5
"""Of floats, relative to the largest."""
FEW = 0.01
"""Of the numbers of 16 bits in a file with float32 parts: these may be one step off, since a step is 256 times the resolution of
float32, and functions of two libraries differ by that.
"""


@dataclass
class Outcome:
    """What became of a file; `detail` says where it is wrong or why it is refused, `floats` which nodes are in float32."""

    kind: str
    detail: str = ""
    floats: tuple[str, ...] = ()


def check(path: Path, samples: Array) -> Outcome:
    """One file. `samples` (n, ...)."""
    proto = onnx.load(path)
    names = [value.name for value in proto.graph.input if value.name not in {i.name for i in proto.graph.initializer}]
    feeds = [{names[0]: sample[None]} for sample in samples]
    outputs = [value.name for value in proto.graph.output]
    try:
        whole = CutModel(proto, {}, outputs)
        expected = [whole.run(feed, {}) for feed in feeds]
    except RuntimeRefusesError as error:
        return Outcome("invalid", str(error))
    try:
        graph, places, floats = _imported(path)
    except TinycompileError as error:
        return Outcome("refused", str(error).replace("\n", " | "))
    values = [
        interpreter.run(graph, [array.reshape(graph.types[graph.inputs[0]].shape) for array in feed.values()])
        for feed in feeds
    ]
    if all(
        _close(each[ours].reshape(theirs[name].shape), theirs[name])
        for each, theirs in zip(values, expected, strict=True)
        for name, ours in zip(outputs, graph.outputs, strict=True)
    ):
        return Outcome("equal", floats=floats)
    detail = _differences(proto, graph, places, feeds, values, bool(floats))
    return Outcome("wrong" if detail else "ties", detail, floats)


def _imported(path: Path) -> tuple[Graph, Mapping[str, Place], tuple[str, ...]]:
    where, proto = str(path), read_proto(path)
    if not is_quantized(proto):
        raise quantization_needed(where)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graph, placed = import_places(
            static_model(expand(proto, where), where, None), path.stem, where, "model", "islands"
        )
    texts = [str(w.message).removeprefix(f"{where}: ") for w in caught if w.category is FloatIslandWarning]
    floats = tuple([text for text in texts if not _FOLLOWS.search(text)] or texts[:1])
    places = {}
    for name, at in placed.items():
        t = graph.types.get(at.name)
        if t is not None:
            places[name] = Place(name, at, t.shape, {"source_channels": None, "shape": t.shape, "dtype": str(t.dtype)})
    return graph, places, floats


_FOLLOWS = re.compile(
    r"which reads it, runs in float32|which operators of 8 bits don't read|stands between a float operator"
)
"""Reasons of nodes that are in float32 since others are."""


def _close(ours: Array, theirs: Array) -> bool:
    if theirs.dtype.kind != "f":
        return bool(np.array_equal(ours, theirs))
    return bool(np.max(np.abs(ours - theirs), initial=0) <= BOUND * max(float(np.max(np.abs(theirs), initial=0)), 1e-6))


def _differences(
    proto: onnx.ModelProto,
    graph: Graph,
    places: Mapping[str, Place],
    feeds: list[dict[str, Array]],
    values: list[dict[str, Array]],
    in_floats: bool,
) -> str:
    """The first tensor that isn't what onnxruntime, nor exact sums, make of ours in front of it; "" if there is none."""
    exact = ExactEvaluator(proto)
    outputs = [value.name for value in proto.graph.output]
    known = {name for node in proto.graph.node for name in node.output}  # rewriting a file adds others
    places = {name: place for name, place in places.items() if name in known}
    whole = CutModel(proto, {}, list(places)).run(feeds[0], {})
    cuts = {
        name: place
        for name, place in places.items()
        if values[0][place.at.name].dtype.itemsize == whole[name].dtype.itemsize
    }
    cut: CutModel | None = None
    for feed, ours in zip(feeds, values, strict=True):
        given = {
            name: place.theirs(ours[place.at.name], whole[name].dtype, None).reshape(whole[name].shape)
            for name, place in cuts.items()
        }
        cut = cut or CutModel(proto, given, outputs)
        results = cut.run(feed, given)
        found = {**given, **{n: ours[o].reshape(results[n].shape) for n, o in zip(outputs, graph.outputs, strict=True)}}
        for name, mine in found.items():
            if _close(mine, results[name]):
                continue
            before = {n: a for n, a in {**feed, **given}.items() if n != name}
            try:
                right = exact.value(name, before)
            except CannotEvaluateError as error:
                return f"{name}: not onnxruntime's, and {error}"
            same = (mine == results[name]) | (mine == right)
            difference = np.abs(mine.astype(np.float64) - results[name].astype(np.float64))
            if mine.dtype.kind == "f":
                same |= np.abs(mine - right) <= BOUND * np.max(np.abs(right))
            elif mine.dtype.itemsize == 2 and in_floats and np.mean(same) >= 1 - FEW:
                same |= difference <= 1
            if not np.all(same):
                return f"{name}: {int((~same).sum())} of {same.size} differ, by up to {difference.max():.4g}"
    return ""


def outcomes(nets: Path, files: Path, only: list[str], count: int) -> Iterator[tuple[str, str, Outcome]]:
    """(tool, file, what became of it)."""
    for path in sorted(files.glob("*/*.onnx")):
        tool, net = path.parent.name, path.name.split(".")[0]
        if only and not all(any(word in part for part in (tool, path.stem)) for word in only):
            continue
        with np.load(nets / f"{net}.npz") as samples:
            held = samples["held"][:count]
        try:
            yield tool, path.stem, check(path, held)
        except Exception as error:  # a fault of ours
            yield tool, path.stem, Outcome("wrong", f"{type(error).__name__}: {error}")


def table(found: list[tuple[str, str, Outcome]]) -> str:
    """By tool, as Markdown."""
    lines = [f"| tool | files | {' | '.join(KINDS)} | float32 |", "|---" * (len(KINDS) + 3) + "|"]
    tools = list(dict.fromkeys(tool for tool, _, _ in found))
    for tool in [*tools, "all"]:
        mine = [outcome for t, _, outcome in found if tool in (t, "all")]
        counts = Counter(outcome.kind for outcome in mine)
        cells = [str(counts[kind]) for kind in KINDS]
        lines.append(f"| {tool} | {len(mine)} | {' | '.join(cells)} | {sum(bool(o.floats) for o in mine)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nets", type=Path)
    parser.add_argument("files", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="words of the tool's or the file's name")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--floats", action="store_true", help="name the nodes that run in float32")
    options = parser.parse_args()
    found = list[tuple[str, str, Outcome]]()
    for tool, file, outcome in outcomes(options.nets, options.files, options.only, options.samples):
        found.append((tool, file, outcome))
        if outcome.kind not in ("equal", "ties"):
            print(f"{tool} {file}: {outcome.kind}: {outcome.detail}", flush=True)
        if options.floats and outcome.floats:
            print(f"{tool} {file}: float32: {'; '.join(outcome.floats)}", flush=True)
    print(table(found))
    return any(outcome.kind == "wrong" for _, _, outcome in found)


if __name__ == "__main__":
    sys.exit(main())
