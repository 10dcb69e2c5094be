"""`make cases`: every model file in ../shared against the outputs that LiteRT's reference kernels gave, bit for bit.

A line for each file: refused, with a reason that LiteRT's own reading of the file must bear out; or built, and then
interpreter, the C on this machine and the firmware of several cores in QEMU must give all `output_k` of its .npz for
all `input_k`. Exit code 1 where anything differs, and where a file that was built once is refused.

`python -m tests.reliability.cases --only kws hard --cores M7 --samples 1`
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

import tinycompile
from tests.conftest import SHARED
from tinycompile import interpreter
from tinycompile.build import Build
from tinycompile.errors import DoesNotFitError, QuantizationNeededError, TinycompileError, UnsupportedError
from tinycompile.frontend import load
from tinycompile.frontend.tflite_ops import IMPORTERS
from tinycompile.frontend.tflite_shapes import FOLDERS
from tinycompile.ir import Array, Graph

PLACES = {"models": "golden", "cases/tflite": "cases/tflite", "cases/litert_torch": "cases/litert_torch"}
"""Folder of models to folder of their samples, under ../shared."""

CORES = {
    "M0": ("microbit", "rp2040"),
    "M3": ("mps2-an385",),
    "M4": ("mps2-an386",),
    "M7": ("mps2-an500",),
    "M33": ("mps2-an505",),
    "2xM33": ("mps2-an521",),
    "M55": ("mps3-an547",),
    "RV32": ("qemu-riscv32",),
    "RV32V": ("qemu-riscv32v",),
}
"""All that kernels tell apart. The first board in whose memory the model fits is taken."""

BUILT = frozenset(
    """ad01_int8 ic_resnet8_int8 kws_ref_model mcunet_vww mobilenet_v2_int8 vww_96_int8
    act_elu.int8 act_gelu.int8 act_tanh.16x8 cnn.16x8 cnn.dyn cnn.float cnn.fp16 conv1.static_wi8_ai16 conv1d.16x8
    embedding.int8 gelu.static_wi8_ai8 gru.static_wi8_ai8 gru_unroll.int8 hard.static_wi8_ai8 kws.static_wi8_ai8
    kws.weights_outside layernorm.int8 leaky.static_wi8_ai8 lstm_unroll.int8 mb.static_wi8_ai16 mbv2.float
    mbv2.int8 mha.int8 op_abs.int8 op_argmax.int8 op_cast_out.int8 op_depth2space.int8 op_div.int8 op_exp.int8
    op_gather.int8 op_greater_sel.int8 op_l2norm.int8 op_logsoftmax.int8 op_matmul.int8 op_minimum.int8
    op_mirrorpad.int8 op_reduce_max.int8 op_reduce_sum.int8 op_resize_bil.int8 op_space2depth.int8 op_split.int8
    op_sqdiff.int8 op_stack.int8 op_strided_slice.int8 op_sum_all.int8 op_tile.int8 prelu.int8 tc_gap.int8
    unet.static_wi8_ai8 unet_tc.float unet_tc.int8 unet_tc3.int8 unet_up_bil.int8 vit_relu.static_wi8_ai8""".split()
)
"""What was built at some time: none of it may be lost."""

LARGE_MACS = 20_000_000
"""A model with more isn't run in QEMU unless asked for."""

QUANTIZATION = {"QUANTIZE", "DEQUANTIZE"}


@dataclass(frozen=True)
class Case:
    """A model file and its samples, if it has any."""

    model: Path
    samples: Path | None

    @property
    def name(self) -> str:
        return self.model.name.removesuffix(".tflite")


@dataclass
class Outcome:
    """What became of a file.

    Attributes:
        verdict: "exact", "refused", "not compared" or what is wrong.
        columns: where it ran, and with which result.
        reason: of a refusal, or what differs.
    """

    name: str
    verdict: str = ""
    wrong: bool = False
    columns: dict[str, str] = field(default_factory=dict[str, str])
    reason: str = ""


def cases(shared: Path = SHARED) -> Iterator[Case]:
    """All model files, by folder and name."""
    for models, samples in PLACES.items():
        for model in sorted((shared / models).glob("*")):
            if model.suffix in (".tflite", ".onnx"):
                arrays = shared / samples / f"{model.stem}.npz"
                yield Case(model, arrays if arrays.exists() else None)


def numbered(path: Path, stem: str) -> list[Array]:
    """`stem`_0, `stem`_1, ... of a samples file."""
    with np.load(path) as file:
        count = sum(re.fullmatch(rf"{stem}_\d+", name) is not None for name in file.files)
        return [file[f"{stem}_{i}"] for i in range(count)]


FLOAT_TOLERANCE = 1e-5
"""How far results of float models may be off, relative to the largest: sums of floats have orders of their own."""


def difference(got: Sequence[Array], wanted: Sequence[Array], tolerance: float = 0) -> str | None:
    """What differs between two lists of outputs, in type, shape or bytes; floats by more than a tolerance."""
    if len(got) != len(wanted):
        return f"{len(got)} outputs, not {len(wanted)}"
    for index, (a, b) in enumerate(zip(got, wanted, strict=True)):
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return f"output {index} is {a.dtype}{a.shape}, not {b.dtype}{b.shape}"
        if tolerance and a.dtype == np.float32:
            off = ~np.isclose(a, b, rtol=0, atol=tolerance * np.abs(b).max(initial=0), equal_nan=True)
            if off.any():
                return f"{int(off.sum())} of {a.size} values of output {index}"
        elif a.tobytes() != b.tobytes():
            count = int(np.sum(a.view(f"V{a.itemsize}") != b.view(f"V{b.itemsize}")))
            return f"{count} of {a.size} values of output {index}"
    return None


def check(case: Case, cores: Sequence[str], samples: int, *, large: bool = False) -> Outcome:
    """Build and compare; `samples` is how many run in QEMU, everywhere else all do."""
    outcome = Outcome(case.name)
    try:
        _check_built(case, cores, samples, outcome, large=large)
    except TinycompileError as error:
        untrue = contradiction(case.model, error)
        lost = case.name in BUILT
        outcome.wrong = bool(untrue) or lost
        outcome.verdict = "LOST" if lost else "UNTRUE" if untrue else "refused"
        outcome.reason = untrue or " ".join(error.render().removeprefix(f"{case.model}: ").split())
    return outcome


def _check_built(case: Case, cores: Sequence[str], samples: int, outcome: Outcome, *, large: bool) -> None:
    with tempfile.TemporaryDirectory() as work:
        build = tinycompile.compile(case.model, "host", output=Path(work) / "host")
        if case.samples is None:
            outcome.verdict = "not compared"
            return
        inputs, wanted = numbered(case.samples, "input"), numbered(case.samples, "output")
        if not inputs or not wanted:
            outcome.verdict, outcome.wrong = "NO SAMPLES", True
            return
        graph = load(case.model)
        tolerance = 0 if _is_quantized(graph) else FLOAT_TOLERANCE
        results = {"interpreter": interpreted(graph, inputs), "host": on_host(build, inputs)}
        found = {where: difference(got, wanted, tolerance) for where, got in results.items()}
        small = large or build.report["macs"]["executed"] <= LARGE_MACS
        for core in cores if small else ():
            few, wanted_few = [a[:samples] for a in inputs], [a[:samples] for a in wanted]
            found[core] = _on_core(case, core, Path(work), few, wanted_few, tolerance)
    outcome.columns = {where: text or "exact" for where, text in found.items()}
    wrong = {where: text for where, text in found.items() if text and not text.startswith("(")}
    outcome.wrong, outcome.verdict = bool(wrong), "DIFFERS" if wrong else "exact"
    outcome.reason = "; ".join(f"{where}: {text}" for where, text in wrong.items())


def _is_quantized(graph: Graph) -> bool:
    """Whether any activation is."""
    return any(t.quant is not None for name, t in graph.types.items() if name not in graph.constants)


def interpreted(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """Every sample by the operators' definitions: one array (samples, *shape) per output."""
    results = list[list[Array]]()
    for i in range(len(inputs[0])):
        values = interpreter.run(graph, [array[i] for array in inputs])
        results.append([values[name] for name in graph.outputs])
    return [np.stack(column) for column in zip(*results, strict=True)]


def on_host(build: Build, inputs: Sequence[Array]) -> list[Array]:
    """The C of this build on this machine."""
    results = [build.host.run([array[i] for array in inputs]) for i in range(len(inputs[0]))]
    return [np.stack(column) for column in zip(*results, strict=True)]


def _on_core(
    case: Case, core: str, work: Path, inputs: Sequence[Array], wanted: Sequence[Array], tolerance: float
) -> str | None:
    """What differs on the core in QEMU, or in the same C on this machine; in brackets why it didn't run."""
    for board in CORES[core]:
        try:
            build = tinycompile.compile(case.model, board, output=work / board, cores=2 if core.startswith("2x") else 1)
        except DoesNotFitError:
            continue
        emulated = difference(build.execute(list(inputs)).outputs, wanted, tolerance)
        twin = difference(on_host(build, inputs), wanted, tolerance)
        return emulated or (twin and f"{twin}, of its C on this machine")
    return "(too large)"


def contradiction(model: Path, error: TinycompileError) -> str | None:
    """What of a refusal isn't true, by LiteRT's own reading of the file; None where nothing is, or it isn't TFLite."""
    if model.suffix != ".tflite":
        return None
    if not isinstance(error, QuantizationNeededError | UnsupportedError):
        return f"{type(error).__name__}: {error}"
    graph = _Graph(model.read_bytes())
    if isinstance(error, QuantizationNeededError):
        floats = any("float32" in graph.types(i) and graph.kind(i) not in QUANTIZATION for i in range(graph.operators))
        return None if floats else "nothing of it computes in float32"
    found = (_contradiction(graph, operator, reason) for operator, reason in error.problems)
    return next((text for text in found if text), None)


def _contradiction(graph: _Graph, operator: str, reason: str) -> str | None:
    named = re.fullmatch(r"(\w+) '.*' \(operator (\d+)\)", operator, re.DOTALL)
    if named is None:
        return None if re.match("(in|out)put '", operator) else f"{operator} is no operator"
    kind, index = named[1], int(named[2])
    if index >= graph.operators or graph.kind(index) != kind:
        return f"{operator}: the file has another one there"
    if "this operator is not supported" in reason and (kind in IMPORTERS or kind in FOLDERS):
        return f"{operator} is supported"
    typed = re.search(r"\bis (\w+), supported is (.*)", reason)
    if typed is not None and typed[1] not in graph.types(index):
        return f"{operator}: none of its tensors is {typed[1]}"
    return None


class _Graph:
    """The first subgraph as LiteRT's copy of the schema reads it: no code of ours."""

    def __init__(self, content: bytes) -> None:
        self._model: Any = schema.Model.GetRootAs(content, 0)
        self._graph: Any = self._model.Subgraphs(0)
        self._kinds = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
        self._types = {v: k.lower() for k, v in vars(schema.TensorType).items() if isinstance(v, int)}
        self.operators = int(self._graph.OperatorsLength())

    def kind(self, index: int) -> str:
        code = self._model.OperatorCodes(self._graph.Operators(index).OpcodeIndex())
        return self._kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]

    def types(self, index: int) -> set[str]:
        """Of an operator's tensors."""
        op = self._graph.Operators(index)
        tensors = [op.Inputs(i) for i in range(op.InputsLength())] + [op.Outputs(i) for i in range(op.OutputsLength())]
        return {self._types[self._graph.Tensors(t).Type()] for t in tensors if t >= 0}


def line(outcome: Outcome) -> str:
    """A row of the table."""
    ran = " ".join(f"{where} {text}" if text != "exact" else where for where, text in outcome.columns.items())
    return f"{outcome.name:<26} {outcome.verdict:<12} {outcome.reason if outcome.reason else ran}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="parts of names")
    parser.add_argument("--cores", nargs="*", default=list(CORES), choices=list(CORES))
    parser.add_argument("--samples", type=int, default=2, help="in QEMU")
    parser.add_argument("--large", action="store_true", help=f"models of more than {LARGE_MACS:,} MACs in QEMU, too")
    arguments = parser.parse_args()
    chosen = [c for c in cases() if not arguments.only or any(part in c.name for part in arguments.only)]
    if not chosen:
        sys.exit("no such model in ../shared, which is not part of the repository")
    outcomes = list[Outcome]()
    for case in chosen:
        outcomes.append(check(case, arguments.cores, arguments.samples, large=arguments.large))
        print(line(outcomes[-1])[:300], flush=True)
    wrong = [outcome.name for outcome in outcomes if outcome.wrong]
    exact = sum(outcome.verdict == "exact" for outcome in outcomes)
    print(f"{len(outcomes)} files: {exact} exact, {len(wrong)} wrong {' '.join(wrong)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
