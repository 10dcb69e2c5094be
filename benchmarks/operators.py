"""`make bench-operators`: executed instructions of an element, by operator, element type and core.

All uses of a type are one model, whose layers read its inputs, so that a build and a run of QEMU per type and core measure
them. An element is one of the output, or of the largest operand where an operator makes less than it reads. Writes
benchmarks/operators.json and benchmarks/operators.md. Layers with weights are in `make bench`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import tinycompile
from benchmarks.run import conditions
from tests.support.tflite_builder import SAME, TfliteBuilder
from tinycompile.errors import DoesNotFitError
from tinycompile.profile import pattern, profile_build

HERE = Path(__file__).parent
RESULTS = HERE / "operators.json"
PEERS = HERE / "operators_peers.json"
TARGETS = {"mps2-an386": "M4", "mps2-an500": "M7", "mps2-an385": "M3", "rp2040": "M0+", "mps3-an547": "M55"}
SHAPE = (1, 16, 16, 16)
Scale = tuple[float, int]


@dataclass(frozen=True)
class Use:
    """An operator as the model has it.

    Attributes:
        operands: shapes of computed ones, with their scale and zero point, which other types than int8 don't have.
        constants: arrays, and scale and zero point of those that are quantised, behind the operands.
        result: as an operand. dtype: of the result; None for that of operand 0.
        remark: what tells it from other uses of the operator.
    """

    name: str
    operands: Sequence[tuple[Sequence[int], Scale]]
    result: tuple[Sequence[int], Scale]
    constants: Sequence[tuple[np.ndarray, Scale | None]] = ()
    remark: str = ""
    dtype: str | None = None
    outputs: Sequence[tuple[Sequence[int], str]] = ()
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def label(self) -> str:
        return f"{self.name} {self.remark}".strip()

    @property
    def elements(self) -> int:
        """What the instructions are divided by."""
        return max(int(np.prod(shape)) for shape, _ in (*self.operands, self.result))


X, Y, WIDE = (0.05, 3), (0.04, -5), (0.09, 7)
POSITIVE = (0.05, -128)
CHANNEL, ROW = (1, 1, 1, 16), (1, 16, 16, 1)


def _int32(*values: Any) -> tuple[np.ndarray, None]:
    return np.array(values[0] if len(values) == 1 else values, np.int32), None


def _random(shape: Sequence[int], dtype: str) -> np.ndarray:
    values = np.random.default_rng(0).integers(-127, 128, shape)
    return (values / 64).astype(np.float32) if dtype == "float32" else values.astype(dtype)


def unary_uses(dtype: str) -> Iterator[Use]:
    """Functions of one element. All of int8 are a table; one of them stands for the others."""
    one = [(SHAPE, X)]
    if dtype == "int8":
        yield Use("HARD_SWISH", one, (SHAPE, WIDE))
        yield Use("QUANTIZE", one, (SHAPE, WIDE))
        yield Use("DEQUANTIZE", one, (SHAPE, WIDE), dtype="float32")
        return
    yield Use("RELU", one, (SHAPE, X))
    yield Use("LEAKY_RELU", one, (SHAPE, X), options={"Alpha": 0.1})
    yield Use("LOGISTIC", one, (SHAPE, (1 / 32768, 0)))
    yield Use("TANH", one, (SHAPE, (1 / 32768, 0)))
    if dtype == "int16":
        yield Use("QUANTIZE", one, (SHAPE, WIDE))
        yield Use("DEQUANTIZE", one, (SHAPE, WIDE), dtype="float32")
        return
    for name in "ABS NEG FLOOR CEIL ROUND SQUARE SQRT RSQRT EXP LOG SIN COS ELU GELU HARD_SWISH".split():
        yield Use(name, one, (SHAPE, X))
    yield Use("QUANTIZE", one, (SHAPE, X), dtype="int8")


def binary_uses(dtype: str) -> Iterator[Use]:
    """Of two tensors, of one and a tensor with an element per channel, and of one and such a constant."""
    names = "ADD SUB MUL"
    if dtype != "int16":
        names += " DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE PRELU"
    if dtype == "float32":
        names += " FLOOR_DIV FLOOR_MOD POW"
    for name in names.split():
        scale = X if name in ("MAXIMUM", "MINIMUM") else WIDE
        second = X if name in ("MAXIMUM", "MINIMUM") else Y
        for remark, shape in (("", SHAPE), ("per channel", CHANNEL), ("per pixel", ROW)):
            yield Use(name, [(SHAPE, X), (shape, second)], (SHAPE, scale), remark=remark)
        constant = (_random(CHANNEL, dtype), second if dtype != "float32" else None)
        yield Use(name, [(SHAPE, X)], (SHAPE, scale), [constant], "constant per channel")
    names = "EQUAL GREATER LESS_EQUAL" if dtype != "int16" else "GREATER"
    for name in names.split():
        yield Use(name, [(SHAPE, X), (SHAPE, X)], (SHAPE, X), dtype="bool")
        if dtype == "int8":
            yield Use(name, [(SHAPE, X), (SHAPE, Y)], (SHAPE, X), dtype="bool", remark="of other scales")


def reduction_uses(dtype: str) -> Iterator[Use]:
    """Over the image, over the channels; and what goes row by row."""
    names = "MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD" if dtype != "int16" else "MEAN REDUCE_MAX"
    for name, (remark, axes, shape) in product(
        names.split(), (("of images", (1, 2), CHANNEL), ("of channels", (3,), ROW))
    ):
        scale = X if name.startswith("REDUCE_M") else WIDE
        yield Use(name, [(SHAPE, X)], (shape, scale), [_int32(axes)], remark, options={"KeepDims": True})
    for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        options = {"FilterHeight": 2, "FilterWidth": 2, "StrideH": 2, "StrideW": 2, "Padding": SAME}
        yield Use(name, [(SHAPE, X)], ((1, 8, 8, 16), X), options=options, remark="2x2")
    yield Use(
        "SOFTMAX", [(SHAPE, X)], (SHAPE, (1 / 256, -128) if dtype == "int8" else (1 / 32768, 0)), options={"Beta": 1.0}
    )
    if dtype == "int16":
        return
    yield Use("LOG_SOFTMAX", [(SHAPE, X)], (SHAPE, (1 / 16, 127)))
    yield Use("L2_NORMALIZATION", [(SHAPE, X)], (SHAPE, (1 / 128, 0)))
    for name in ("ARG_MAX", "ARG_MIN"):
        yield Use(name, [(SHAPE, X)], (SHAPE[:3], X), [_int32(3)], dtype="int32", options={"OutputType": 2})
    for k in (1, 4):
        outputs = [((1, 16, 16, k), "int32")]
        yield Use("TOPK_V2", [(SHAPE, X)], ((1, 16, 16, k), X), [_int32(k)], f"k = {k}", outputs=outputs)


def movement_uses(dtype: str) -> Iterator[Use]:
    """What only moves elements, or interpolates between them."""
    one = [(SHAPE, X)]
    yield Use("PAD", one, ((1, 18, 18, 16), X), [_int32([[0, 0], [1, 1], [1, 1], [0, 0]])])
    yield Use("CONCATENATION", [(SHAPE, X), (SHAPE, X)], ((1, 16, 16, 32), X), options={"Axis": 3})
    yield Use("TRANSPOSE", one, (SHAPE, X), [_int32(0, 3, 1, 2)], "to channels first")
    yield Use("TRANSPOSE", one, (SHAPE, X), [_int32(0, 2, 1, 3)], "of the image")
    yield Use("STRIDED_SLICE", one, ((1, 16, 16, 8), X), [_int32([0] * 4), _int32(SHAPE), _int32(1, 1, 1, 2)])
    yield Use("SLICE", one, ((1, 16, 16, 8), X), [_int32([0, 0, 0, 4]), _int32(1, 16, 16, 8)])
    yield Use("TILE", one, ((1, 16, 16, 32), X), [_int32(1, 1, 1, 2)])
    yield Use("REVERSE_V2", one, (SHAPE, X), [_int32([3])], "of channels")
    yield Use("MIRROR_PAD", one, ((1, 18, 18, 16), X), [_int32([[0, 0], [1, 1], [1, 1], [0, 0]])])
    yield Use("SPACE_TO_DEPTH", one, ((1, 8, 8, 64), X), options={"BlockSize": 2})
    yield Use("DEPTH_TO_SPACE", one, ((1, 32, 32, 4), X), options={"BlockSize": 2})
    yield Use("GATHER", one, ((1, 16, 16, 16), X), [_int32(list(range(16))[::-1])], "of rows", options={"Axis": 1})
    if dtype == "int16":
        return
    for size in (32, 24):
        shape = (1, size, size, 16)
        options = {"HalfPixelCenters": True}
        yield Use("RESIZE_BILINEAR", one, (shape, X), [_int32(size, size)], f"to {size}x{size}", options=options)
        if dtype == "int8":
            yield Use("RESIZE_NEAREST_NEIGHBOR", one, (shape, X), [_int32(size, size)], f"to {size}x{size}")


def uses(dtype: str) -> list[Use]:
    """Everything of a type that can be compiled."""
    return [use for family in (unary_uses, binary_uses, reduction_uses, movement_uses) for use in family(dtype)]


def model(chosen: Sequence[Use], dtype: str) -> bytes:
    """A file with one layer per use, in this order; equal operands are one input."""
    b, inputs, results = TfliteBuilder(), dict[tuple[tuple[int, ...], Scale, int], int](), list[int]()
    for index, use in enumerate(chosen):
        operands, seen = list[int](), dict[tuple[tuple[int, ...], Scale], int]()
        for shape, scale in use.operands:
            number = seen[tuple(shape), scale] = seen.get((tuple(shape), scale), -1) + 1
            key = (tuple(shape), scale, number)
            if key not in inputs:
                inputs[key] = _tensor(b, shape, scale, dtype)
            operands.append(inputs[key])
        operands += [_constant(b, values, scale, dtype) for values, scale in use.constants]
        shape, scale = use.result
        made = [_tensor(b, shape, scale, use.dtype or dtype, _layer(index))]
        made += [_tensor(b, shape, X, other) for shape, other in use.outputs]
        b.op(use.name, operands, made, **use.options)
        results += made
    return b.build(list(inputs.values()), results)


def _layer(index: int) -> str:
    """The layer of a use is called as its result."""
    return f"use_{index}"


def _tensor(b: TfliteBuilder, shape: Sequence[int], scale: Scale, dtype: str, name: str | None = None) -> int:
    if dtype in ("int8", "int16"):
        return b.tensor(shape, scale[0], scale[1] if dtype == "int8" else 0, dtype=dtype, name=name)
    return b.tensor(shape, dtype=dtype, name=name)


def _constant(b: TfliteBuilder, values: np.ndarray, scale: Scale | None, dtype: str) -> int:
    return b.constant(values) if scale is None else b.constant(values, scale[0], scale[1] if dtype == "int8" else 0)


def measure(target: str, dtype: str, only: str = "") -> dict[str, float]:
    """Instructions of an element by the use's label."""
    return _measured(target, dtype, [use for use in uses(dtype) if only in use.label])


def _measured(target: str, dtype: str, chosen: Sequence[Use]) -> dict[str, float]:
    """As many models as the board's RAM takes."""
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(name) / "operators.tflite"
        path.write_bytes(model(chosen, dtype))
        try:
            build = tinycompile.compile(path, target, output=Path(name) / "out", optimize="speed", schedule="layer")
        except DoesNotFitError:
            half = len(chosen) // 2
            return {**_measured(target, dtype, chosen[:half]), **_measured(target, dtype, chosen[half:])}
        profile = profile_build(build, [pattern(t) for t in build.inputs])
    counted = {layer["name"]: layer["instructions"] for layer in profile["layers"]}
    return {use.label: round(counted[_layer(index)] / use.elements, 2) for index, use in enumerate(chosen)}


def markdown(document: dict[str, Any], peers: dict[str, Any]) -> str:
    """operators.md.

    Args:
        peers: operators_peers.json, TFLM's figures on the M7.
    """
    lines = [
        "# Instructions of an element",
        "",
        "Written by `make bench-operators`: executed instructions of an operator divided by the elements of its output, or of its",
        f"largest operand where that has more. {document['conditions']['compiler']}, `--optimize speed`; "
        f"{document['conditions']['emulator']}.",
        "",
        peers["conditions"],
        "",
    ]
    for dtype, table in document["types"].items():
        cores = list(table)
        columns = [*cores, "TFLM, M7"]
        lines += [f"## {dtype}", "", "| operator | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
        for label in table[cores[0]]:
            figures = [*(table[core][label] for core in cores), peers["types"].get(dtype, {}).get(label)]
            lines.append(f"| {label} | " + " | ".join("" if f is None else f"{f:.1f}" for f in figures) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--types", nargs="*", default=["int8", "int16", "float32"])
    parser.add_argument("--targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--only", default="", help="uses whose name contains this; prints, and writes nothing")
    options = parser.parse_args()
    if options.only:
        for dtype, target in product(options.types, options.targets):
            for label, figure in measure(target, dtype, options.only).items():
                print(f"{dtype:8} {TARGETS[target]:4} {label:40} {figure:8.2f}")
        return
    document: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"types": {}}
    document["conditions"] = conditions()
    with ProcessPoolExecutor(2) as pool:
        jobs = {
            (dtype, target): pool.submit(measure, target, dtype)
            for dtype in options.types
            for target in options.targets
        }
        for (dtype, target), job in jobs.items():
            document["types"].setdefault(dtype, {})[TARGETS[target]] = job.result()
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    (HERE / "operators.md").write_text(markdown(document, json.loads(PEERS.read_text())))


if __name__ == "__main__":
    main()
