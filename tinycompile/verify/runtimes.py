"""The runtimes that compute a TFLite operator: LiteRT's reference and default kernels, and TFLM's."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.errors import ToolMissingError
from tinycompile.frontend.tflite_support import SUPPORT
from tinycompile.ir import Array
from tinycompile.verify import tflm_rules
from tinycompile.version import __version__

Run = Callable[[Sequence[Array]], list[Array]]
"""Outputs of inputs, in the model's order."""


TFLM_WHEEL = "pip install 'tinycompile[tflm]'"


class RefusedError(Exception):
    """A runtime doesn't have an operator, or not in this form. `hint`: what to try."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


@dataclass(frozen=True)
class Kernels:
    """A runtime's kernels.

    Attributes:
        oracle: whose, as in `tflite_support`; "rule" is TFLM's arithmetic written once more, where its wheel is missing
            or stops.
        name, version: as the certificate has them.
        load: a model of one operator, a `.tflite` file's content. Raises RefusedError; so does what it returns.
    """

    oracle: str
    name: str
    version: str
    load: Callable[[bytes], Run]

    @property
    def infers(self) -> bool:
        """Whether it computes the shapes of results; else it believes the file."""
        return self.oracle != "tflm"


def litert_module() -> Any:
    """`ai_edge_litert.interpreter`. Raises ToolMissingError."""
    try:
        from ai_edge_litert import interpreter  # pyright: ignore[reportMissingTypeStubs] - it has none
    except ImportError as error:
        raise ToolMissingError(
            "the reference interpreter is not installed",
            why="verify compares with LiteRT's kernels",
            hint="pip install 'tinycompile[verify]'",
        ) from error
    module: Any = interpreter
    return module


def all_kernels(match: Runtime) -> dict[str, Kernels]:
    """Those that are installed; TFLM's are needed only where they are what a model matches.

    Raises:
        ToolMissingError
    """
    litert, version = litert_module(), metadata.version("ai-edge-litert")
    resolvers = litert.OpResolverType
    found: dict[str, Kernels] = {
        "rule": Kernels("rule", "TFLM's rule in Python", __version__, _by_rule),
        "reference": Kernels("reference", "LiteRT BUILTIN_REF", version, _litert(litert, resolvers.BUILTIN_REF)),
        "default": Kernels(
            "default", "LiteRT BUILTIN", version, _litert(litert, resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        ),
    }
    try:
        module: Any = import_module("tflite_micro").runtime  # a wheel for few platforms, which type checkers lack
    except ImportError as error:
        if match == "tflm":
            raise ToolMissingError(
                "TFLM's kernels are not installed",
                why="the firmware matches TFLM, and verify compares with its wheel",
                hint=TFLM_WHEEL,
            ) from error
        return found
    return {**found, "tflm": Kernels("tflm", "TFLM", metadata.version("tflite-micro"), _tflm(module))}


def preference(operator: str, dtype: str, match: Runtime) -> list[str]:
    """Whose kernel of a TFLite operator is asked, the one that defines it first.

    Args:
        dtype: of its elements.
    """
    support = SUPPORT.get(operator)
    stated = None if support is None else support.oracles.get(dtype, support.other)
    if stated == "tflm":  # LiteRT's are wrong
        return [stated, "rule"]
    order: list[str] = ["reference", "default", "tflm"]
    if stated in order:
        order.insert(0, stated)
    if match == "tflm":
        order.insert(0, "tflm")
    return list(dict.fromkeys(order))


def _litert(litert: Any, resolver: Any) -> Callable[[bytes], Run]:
    def load(content: bytes) -> Run:
        try:
            interpreter = litert.Interpreter(model_content=content, experimental_op_resolver_type=resolver)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise RefusedError(str(error)) from error

        def run(values: Sequence[Array]) -> list[Array]:
            try:
                for detail, value in zip(interpreter.get_input_details(), values, strict=True):
                    interpreter.set_tensor(detail["index"], np.ascontiguousarray(value).reshape(detail["shape"]))
                interpreter.invoke()
            except (ValueError, RuntimeError) as error:
                raise RefusedError(str(error)) from error
            return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]

        return run

    return load


_SPARE_ARENA = 1 << 20
"""Bytes beside those that grow with the file, which is small: an operator's."""


def _tflm(runtime: Any) -> Callable[[bytes], Run]:
    def load(content: bytes) -> Run:
        with _refusals():
            interpreter = runtime.Interpreter.from_bytes(content, arena_size=_SPARE_ARENA + 16 * len(content))

        def run(values: Sequence[Array]) -> list[Array]:
            with _refusals():
                for index, value in enumerate(values):
                    shape = interpreter.get_input_details(index)["shape"]
                    interpreter.set_input(np.ascontiguousarray(value).reshape(shape), index)
                interpreter.invoke()
                return [
                    interpreter.get_output(index).copy()
                    for index in range(_model(content).Subgraphs(0).OutputsLength())
                ]

        return run

    return load


def _by_rule(content: bytes) -> Run:
    """What is TFLM's because LiteRT's kernels are wrong, RSQRT of int16."""
    model = _model(content)
    code, graph = model.OperatorCodes(0), model.Subgraphs(0)
    ends = [graph.Tensors(index) for index in (graph.Inputs(0), graph.Outputs(0))]
    if code.DeprecatedBuiltinCode() != _RSQRT or any(tensor.Type() != _INT16 for tensor in ends):
        raise RefusedError("it is there for RSQRT of int16 only")
    x_scale, y_scale = (float(tensor.Quantization().Scale(0)) for tensor in ends)
    return lambda values: [tflm_rules.rsqrt(values[0], x_scale, y_scale)]


_RSQRT, _INT16 = 76, 7
"""Numbers of the schema."""


def _model(content: bytes) -> Any:
    import tflite  # pyright: ignore[reportMissingTypeStubs] - it has none

    model: Any = tflite.Model
    return model.GetRootAsModel(content, 0)


@contextmanager
def _refusals() -> Generator[None]:
    """TFLM prints why it refuses on the process's standard error, whoever asked; here another runtime is asked."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    except (ValueError, RuntimeError, TypeError) as error:
        raise RefusedError(str(error)) from error
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
