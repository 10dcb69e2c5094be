"""What is supported, from the operators themselves: `tinycompile ops`, and SUPPORTED_OPS.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from tinycompile.frontend.onnx import IMPORTERS as ONNX_IMPORTERS
from tinycompile.frontend.onnx_float import FLOAT_IMPORTERS, runs_in_float
from tinycompile.frontend.onnx_schema import MICROSOFT_ATTRIBUTES
from tinycompile.frontend.tflite_ops import IMPORTERS as TFLITE_IMPORTERS
from tinycompile.frontend.tflite_shapes import FOLDERS
from tinycompile.frontend.tflite_support import ORACLES, SUPPORT, Oracle, Support
from tinycompile.ir import Op
from tinycompile.ops import all_ops

_HEADER = """# Supported operators

Made by `tinycompile ops --markdown` from the operators' own rules; a test compares. What doesn't keep a rule is an
error that names the operator and the reason, for all of them at once: `tinycompile inspect` asks before any build.
"""
_TFLITE_HEADER = """## TFLite

uint8 only at the edges: uint8 weights and activations, TensorFlow 1's quantisation, are refused. *int16x8*: int16
activations and int8 weights. *oracle*: whose bytes the firmware's are, and what `tinycompile verify` compares with;
LiteRT's default kernel stands in where the reference has none or is wrong ([numerics](docs/numerics.md)). Measured by
importing and running a model of each. *N = 1*: of several images, up to 64, each becomes a node of its own.
"""
_FOLDED = """Computed at import where all operands are known then, such as shapes: {}.

TFLM_DECODE, which tflite-micro's compression puts before layers, is read where it looks values up in tables."""
_ONNX_HEADER = """
## ONNX

Opset 7 and newer. *int8*: between DequantizeLinear and QuantizeLinear (or as a QLinear operator), so also in float
models that are quantised with `--calib`. *float32*: with `--dtype float32`, and for what can't run in 8 bits.
"""


def rule(op: type[Op]) -> str:
    """An operator's support rule: the first paragraph of its docstring."""
    return " ".join((inspect.getdoc(op) or "").split("\n\n")[0].split())


def tflite_operators() -> dict[str, type[Op] | None]:
    """The operator that each TFLite operator becomes: the one with its name, or the one whose rule names it. None for
    several.
    """
    kinds = all_ops()
    by_name = {_plain(kind): op for kind, op in kinds.items()}
    found = dict[str, type[Op] | None]()
    for name in sorted(TFLITE_IMPORTERS):
        named = [op for op in kinds.values() if re.search(rf"\b{name}\b", rule(op))]
        found[name] = by_name.get(_plain(name)) or min(named, key=lambda op: len(rule(op)), default=None)
    return found


def tflite_rule(name: str, op: type[Op] | None) -> str:
    """What a TFLite operator is compiled with, in words: the rule of what it becomes, or of its importer."""
    return rule(op) if op is not None else " ".join((inspect.getdoc(TFLITE_IMPORTERS[name].run) or "").split())


TYPE_NAMES = {"int8": "int8", "int16": "int16x8", "float32": "float32"}
"""Of elements, by the fields of `Support`."""


def oracle_text(support: Support) -> str:
    """Whose bytes an operator's are, with the types where that differs among them."""
    oracles = support.oracles
    found = dict.fromkeys(oracles.values())
    if len(found) == 1:
        return ORACLES[next(iter(found))]
    types: dict[Oracle, list[str]]
    types = {oracle: [TYPE_NAMES[t] for t, other in oracles.items() if other == oracle] for oracle in found}
    return "; ".join(f"{ORACLES[oracle]} ({', '.join(names)})" for oracle, names in types.items())


def support_text(name: str) -> str:
    """What a TFLite operator is compiled with, for `inspect`; empty for arithmetic of shapes."""
    support = SUPPORT.get(name.removeprefix("CUSTOM "))
    if support is None:
        return "" if name in FOLDERS else "not compiled"
    types = [shown for t, shown in TYPE_NAMES.items() if t in support.oracles]
    return f"{', '.join(types) or 'bool'}; {oracle_text(support)}"


def onnx_operators() -> dict[str, tuple[bool, str]]:
    """Per ONNX operator: whether it also runs in float32, and what there is to know of its importer."""
    found = {
        name: (runs_in_float(name), " ".join((inspect.getdoc(read) or "").split()))
        for name, read in (FLOAT_IMPORTERS | ONNX_IMPORTERS).items()
    }
    found["Upsample"] = found["Resize"][0], "Opset 7 to 9, as Resize."
    found |= {name: (False, "com.microsoft") for name in MICROSOFT_ATTRIBUTES if name not in found}
    return dict(sorted(found.items()))


def has_eight_bits(name: str) -> bool:
    """Whether an ONNX operator has an 8-bit form, too."""
    return name in ONNX_IMPORTERS or name not in FLOAT_IMPORTERS


def operators() -> dict[str, dict[str, Any]]:
    """For `ops --json`: what is read of both formats, and what it becomes."""
    return {
        "tflite": {
            name: {
                "becomes": "several" if op is None else op.kind,
                "rule": tflite_rule(name, op),
                "oracle": SUPPORT[name].oracles,
            }
            for name, op in tflite_operators().items()
        },
        "onnx": {
            name: {"int8": has_eight_bits(name), "float32": floats, "remark": remark}
            for name, (floats, remark) in onnx_operators().items()
        },
        "compiled": {kind: {"rule": rule(op)} for kind, op in all_ops().items()},
    }


def markdown() -> str:
    """SUPPORTED_OPS.md."""
    return "\n".join(_sections()) + "\n"


def _sections() -> Iterator[str]:
    yield _HEADER
    yield _TFLITE_HEADER
    yield f"| operator | {' | '.join(TYPE_NAMES.values())} | oracle | rule |\n|---|---|---|---|---|---|"
    for name, op in tflite_operators().items():
        support = SUPPORT[name]
        yes = " | ".join("yes" if t in support.oracles else "no" for t in TYPE_NAMES)
        yield f"| {name} | {yes} | {oracle_text(support)} | {_cell(tflite_rule(name, op))} |"
    yield f"\n{_FOLDED.format(', '.join(sorted(FOLDERS)))}"
    yield _ONNX_HEADER
    yield "| operator | int8 | float32 | remark |\n|---|---|---|---|"
    for name, (floats, remark) in onnx_operators().items():
        eight_bits = "yes" if has_eight_bits(name) else "no"
        yield f"| {name} | {eight_bits} | {'yes' if floats else 'no'} | {_cell(remark)} |"
    yield "\n## What is compiled\n\nBoth become these; their rules hold for every source.\n"
    yield "| operator | rule |\n|---|---|"
    for kind, op in all_ops().items():
        yield f"| {kind} | {_cell(rule(op))} |"


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
