"""Which types each TFLite operator is imported with, and who computes the same.

`python -m tests.frontend.support_table` writes it into `tinycompile/frontend/tflite_support.py`.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.conftest import ROOT
from tests.frontend.option_models import MODELS, OptionModel
from tests.frontend.typed_models import COLUMNS, NAMES, typed_model
from tests.ops.signal_models import forms_of
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.frontend.tflite_ops import IMPORTERS
from tinycompile.frontend.tflite_support import SUPPORT, Oracle, Support

FILE = ROOT / "tinycompile/frontend/tflite_support.py"
_MARK = "SUPPORT: dict[str, Support] = {\n"
_RESOLVERS: list[tuple[Oracle, OpResolverType]] = [
    ("reference", OpResolverType.BUILTIN_REF),
    ("default", OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES),
]


def measured() -> Iterator[tuple[str, Support]]:
    """(operator, what holds of it)."""
    for name in sorted(IMPORTERS):
        if name.startswith("Signal"):
            yield name, of_signals(name)
            continue
        columns = [typed_model(name, dtype) for dtype in COLUMNS]
        found = [
            None if model is None else oracle_of(name, model, dtype)
            for model, dtype in zip(columns, COLUMNS, strict=True)
        ]
        yield name, Support(*found, None if any(found) else oracle_of(name, MODELS[name](), "other"))


def of_signals(name: str) -> Support:
    """Of an operator that only TFLM has; its own tests compare it."""
    taken = {form.inputs[0][1] for form in forms_of(name)}
    int16, floats = ("tflm" if dtype in taken else None for dtype in ("int16", "float32"))
    return Support(None, int16, floats, None if int16 else "tflm")


def oracle_of(name: str, model: OptionModel, dtype: str) -> Oracle:
    """The first one that computes what our definition does. Raises AssertionError where those that run compute
    something else.
    """
    content = model.build()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        graph = import_tflite(content, "m", "m.tflite")
    values = interpreter.run(graph, model.inputs)
    ours, ran = [values[name] for name in graph.outputs], False
    for oracle, resolver in _RESOLVERS:
        if model.resolver not in (None, resolver) and _elements(MODELS[name]()) == dtype:
            continue  # the model is one that its author knows to be computed wrongly
        theirs = _results(content, model.inputs, resolver)
        if theirs is not None and all(map(_same, ours, theirs)):
            return oracle
        ran |= theirs is not None
    assert not ran, f"{name} of {dtype}: every kernel of LiteRT's computes something else"
    declared = SUPPORT.get(name)
    return "tflm" if declared is not None and "tflm" in declared else "nobody"


def _elements(model: OptionModel) -> str:
    """The type of the first result's elements."""
    return NAMES[model.builder.tensors[model.op.outputs[0]].dtype]


def _results(content: bytes, inputs: Sequence[np.ndarray], resolver: OpResolverType) -> list[np.ndarray] | None:
    """Outputs; None where it doesn't run."""
    try:
        litert = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
        litert.allocate_tensors()
        for detail, value in zip(litert.get_input_details(), inputs, strict=True):
            litert.set_tensor(detail["index"], value)
        litert.invoke()
    except (ValueError, RuntimeError):
        return None
    return [litert.get_tensor(detail["index"]) for detail in litert.get_output_details()]


def _same(ours: np.ndarray, theirs: np.ndarray) -> bool:
    theirs = np.asarray(theirs).reshape(ours.shape)
    if ours.dtype == np.float32:
        return bool(np.allclose(ours, theirs, rtol=1e-5, atol=1e-6, equal_nan=True))
    return bool(np.array_equal(ours, theirs))


def _arguments(support: Support) -> str:
    given = support if support.other is not None else support[:-1]
    return ", ".join("None" if oracle is None else f'"{oracle}"' for oracle in given)


def main() -> None:
    text = FILE.read_text()
    lines = [f'    "{name}": Support({_arguments(support)}),\n' for name, support in measured()]
    FILE.write_text(text[: text.index(_MARK)] + _MARK + "".join(lines) + "}\n")
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(FILE)], check=True)


if __name__ == "__main__":
    main()
