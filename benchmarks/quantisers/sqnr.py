"""How closely quantised files follow their float nets on samples that no quantiser has seen: ours, onnxruntime's, others'.

    python -m benchmarks.quantisers.sqnr NETS [--files FOLDER [--like REGEX]] [--only NAME ...] [--markdown FILE]

NETS holds NAME.onnx and NAME.npz with `calib` and `held`, first axis = sample. All quantisers get all of `calib` and
nothing else. FOLDER holds what other tools made of the same nets from the same samples, TOOL/NAME.WAY.onnx or
.tflite as `benchmarks.quantisers.run` writes them; --like REGEX chooses among "TOOL WAY". A figure is the SQNR in dB of
the worst output on `held`, run by onnxruntime with its optimisations off, or by LiteRT's own kernels.
"""

from __future__ import annotations

import argparse
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime

from tinycompile.quantize import quantize

Array = np.ndarray[Any, Any]
Quantiser = Callable[[Path, Path, Path], None]
"""(float model, `.npz` of samples, file to write)."""


@dataclass(frozen=True)
class Result:
    """What one quantiser made of one net: dB, how often the largest output is the same, seconds of the processor (0 where
    another process did it).
    """

    net: str
    quantiser: str
    sqnr: float
    agreement: float
    seconds: float


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def outputs(path: Path, x: Array) -> list[Array]:
    """One array (samples, ...) per output of a model with one input."""
    if path.suffix == ".tflite":
        return outputs_of_litert(path, x)
    running = session(path)
    (value,) = running.get_inputs()
    rows = [running.run(None, {value.name: each[None]}) for each in x]
    return [np.stack(column) for column in zip(*rows, strict=True)]


def outputs_of_litert(path: Path, x: Array) -> list[Array]:
    """The same of LiteRT, in real numbers; it is given and gives the integers of an int8 file."""
    from ai_edge_litert import interpreter as litert

    kernels = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    running = litert.Interpreter(str(path), experimental_op_resolver_type=kernels, num_threads=1)
    running.allocate_tensors()
    (source,), results = running.get_input_details(), running.get_output_details()
    rows = list[list[Array]]()
    for each in x:
        scale, zero_point = source["quantization"]
        if scale:
            limits = np.iinfo(source["dtype"])
            each = np.clip(np.rint(each / scale) + zero_point, limits.min, limits.max)
        running.set_tensor(source["index"], each[None].astype(source["dtype"]))
        running.invoke()
        rows.append([_real(running.get_tensor(each["index"]), *each["quantization"]) for each in results])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def _real(value: Array, scale: float, zero_point: int) -> Array:
    return (value.astype(np.float32) - zero_point) * np.float32(scale) if scale else value


def worst_sqnr(reference: Sequence[Array], found: Sequence[Array]) -> float:
    ratios = list[float]()
    for a, b in zip(reference, found, strict=True):
        noise = np.sum(np.square(a.astype(np.float64) - b.reshape(a.shape)))
        ratios.append(10 * float(np.log10(np.sum(np.square(a, dtype=np.float64)) / max(float(noise), 1e-300))))
    return min(ratios)


def ours(effort: str) -> Quantiser:
    def run(model: Path, calib: Path, target: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # As the other quantisers: every sample is for calibration, and what is measured are others.
            onnx.save(quantize(model, calib, effort=effort, evaluation=calib).proto, str(target))

    return run


class _Reader:
    """Samples as onnxruntime's quantiser takes them."""

    def __init__(self, name: str, x: Array) -> None:
        self._samples: Iterator[dict[str, Array]] = iter([{name: each[None]} for each in x])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._samples, None)


def theirs(per_channel: bool, method: str = "MinMax") -> Quantiser:
    """onnxruntime's static quantiser, to int8 QDQ, after the preparation that its documentation asks for."""

    def run(model: Path, calib: Path, target: Path) -> None:
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        with TemporaryDirectory() as folder:
            source = Path(folder) / "prepared.onnx"
            quant_pre_process(str(model), str(source), skip_symbolic_shape=True)
            with np.load(calib) as file:
                reader: Any = _Reader(session(source).get_inputs()[0].name, file["x"])
            quantize_static(
                str(source),
                str(target),
                reader,
                quant_format=QuantFormat.QDQ,
                per_channel=per_channel,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod[method],
            )

    return run


QUANTISERS: dict[str, Quantiser] = {
    "ours": ours("default"),
    "ours high": ours("high"),
    "ort default": theirs(per_channel=False),
    "ort per channel": theirs(per_channel=True),
    "ort percentile": theirs(True, "Percentile"),
    "ort entropy": theirs(True, "Entropy"),
}


def others(folder: Path | None, net: str, like: str) -> Iterator[tuple[str, Path]]:
    """(tool and way, file) of what other tools made of a net."""
    for path in sorted(folder.glob(f"*/{net}.*")) if folder is not None else ():
        name = f"{path.parent.name} {path.stem.removeprefix(f'{net}.')}"
        if re.fullmatch(like, name):
            yield name, path


def measured(net: Path, quantisers: Sequence[str], files: Path | None, like: str) -> Iterator[Result]:
    with np.load(net.with_suffix(".npz")) as file, TemporaryDirectory() as folder:
        held, calib, target = file["held"], Path(folder) / "calib.npz", Path(folder) / "int8.onnx"
        np.savez(calib, x=file["calib"])
        reference = outputs(net, held)

        def judge(name: str, path: Path, seconds: float) -> Result:
            found = outputs(path, held)
            classes = [y[0].reshape(len(held), -1).argmax(1) for y in (reference, found)]
            agreement = float(np.mean(classes[0] == classes[1]))
            return Result(net.stem, name, worst_sqnr(reference, found), agreement, seconds)

        for name in quantisers:
            start = time.process_time()
            QUANTISERS[name](net, calib, target)
            yield judge(name, target, time.process_time() - start)
        for name, path in others(files, net.stem, like):
            try:
                yield judge(name, path, 0.0)
            except Exception as error:  # what another tool wrote may be no model at all
                print(f"{net.stem} {name}: {type(error).__name__}: {str(error)[:120]}")


def table(results: Sequence[Result]) -> list[str]:
    """Markdown: a row for each net, a column for each quantiser, with the median at the end."""
    names = list(dict.fromkeys(result.quantiser for result in results))
    nets = list(dict.fromkeys(result.net for result in results))
    cells = {(result.net, result.quantiser): result for result in results}
    lines = [f"| net | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for net in nets:
        row = [cells.get((net, name)) for name in names]
        lines.append(f"| {net} | {' | '.join('' if each is None else shown(each) for each in row)} |")
    middle = [median([r.sqnr for r in results if r.quantiser == name]) for name in names]
    return [*lines, f"| median | {' | '.join(f'{value:.2f}' for value in middle)} |"]


def shown(result: Result) -> str:
    seconds = f", {result.seconds:.1f} s" if result.seconds else ""
    return f"{result.sqnr:.2f} ({result.agreement:.0%}{seconds})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", type=Path)
    parser.add_argument("--files", type=Path, help="what other tools made of the nets")
    parser.add_argument("--like", default=".*", help="regular expression of the tools and ways that count")
    parser.add_argument("--only", nargs="*", help="names of nets")
    parser.add_argument("--quantisers", nargs="*", choices=list(QUANTISERS), default=list(QUANTISERS))
    parser.add_argument("--markdown", type=Path, help="file to write the table to")
    chosen = parser.parse_args()
    results = list[Result]()
    for net in sorted(chosen.nets.glob("*.onnx")):
        if net.with_suffix(".npz").exists() and (chosen.only is None or net.stem in chosen.only):
            for result in measured(net, chosen.quantisers, chosen.files, chosen.like):
                results.append(result)
                print(f"{result.net:16} {result.quantiser:24} {shown(result)}", flush=True)
    lines = table(results)
    print("\n".join(lines))
    if chosen.markdown is not None:
        chosen.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
