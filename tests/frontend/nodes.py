"""All node cases of `onnx.backend.test`, as they are and as int8 models: which pass, which are refused and why.

`python -m tests.frontend.nodes` compiles each to C and runs it on this machine; `--meaning` computes graphs in NumPy.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.support.onnx_nodes import NodeCase, assert_close, check, collected, imported, run_as_c, skips
from tests.support.onnx_quantized_nodes import Outcome, QuantizedCase, as_graph, outcome, quantized_cases
from tinycompile import interpreter
from tinycompile.errors import TinycompileError


def plain_outcome(case: NodeCase, folder: Path, *, as_c: bool) -> Outcome:
    """ "passes", "refused", "wrong", or "left out" as `tests/data/onnx_node_skips.toml` says."""
    if case.name in skips():
        return Outcome("left out", skips()[case.name])
    try:
        graph, inputs = imported(case, folder / "node.onnx")
    except TinycompileError as error:
        return Outcome("refused", _reason(error))
    try:
        if as_c:
            check(case, folder)
            return Outcome("passes")
        values = interpreter.run(graph, inputs)
        for name, expected in zip(graph.outputs, case.outputs, strict=True):
            assert_close(values[name], expected)
    except Exception as error:  # whatever compiling and running raise
        return Outcome("wrong", f"{type(error).__name__}: {str(error).strip()[:200]}")
    return Outcome("passes")


def quantized_outcome(case: QuantizedCase, folder: Path, *, as_c: bool) -> Outcome:
    """As `outcome`; and whether C computes the meaning, bit for bit but for floats that aren't rounded."""
    found = outcome(case)
    if not as_c or found.verdict not in ("int8", "float"):
        return found
    graph = as_graph(case)
    feeds = [case.inputs[name].reshape(graph.types[name].shape) for name in graph.inputs]
    values = interpreter.run(graph, feeds)
    for name, got in zip(graph.outputs, run_as_c(graph, feeds, folder), strict=True):
        if found.verdict == "int8" and not np.array_equal(got, values[name]):
            return Outcome("wrong", f"{name}: C and meaning differ")
    return found


def _reason(error: TinycompileError) -> str:
    problems: list[tuple[str, str]] = getattr(error, "problems", [])
    return "; ".join(sorted({reason for _, reason in problems})) or str(error).splitlines()[0]


def report(title: str, found: Iterable[tuple[str, Outcome]], *, reasons: bool) -> bool:
    """Prints counts, and what is wrong; whether nothing is."""
    verdicts, why = Counter[str](), defaultdict[tuple[str, str], list[str]](list)
    for name, each in found:
        verdicts[each.verdict] += 1
        if each.verdict == "wrong" or reasons:
            why[each.verdict, each.reason].append(name)
    print(title, ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))
    for (verdict, reason), names in sorted(why.items(), key=lambda item: -len(item[1])):
        if reason:
            print(f"  {len(names)} {verdict}: {reason[:160]}: {', '.join(names[:3])}")
    return not verdicts["wrong"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meaning", action="store_true", help="no C: seconds in place of many minutes")
    parser.add_argument("--reasons", action="store_true", help="why cases are refused, or computed in floats")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as folder:
        place, as_c = Path(folder), not arguments.meaning
        plain = ((case.name, plain_outcome(case, _made(place / case.name), as_c=as_c)) for case in collected())
        sound = report("as they are:", plain, reasons=arguments.reasons)
        wrapped = (
            (name, quantized_outcome(case, _made(place / "int8" / name), as_c=as_c))
            for name, case in quantized_cases().items()
        )
        sound &= report("between DequantizeLinear and QuantizeLinear:", wrapped, reasons=arguments.reasons)
    return 0 if sound else 1


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
