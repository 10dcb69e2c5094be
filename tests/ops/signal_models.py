"""Small models of TFLM's signal operators, and what its wheel makes of a few inferences that follow each other."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from tests.support.tflite_builder import TYPES, TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph, Site

Options = dict[str, int | float | bool]
Shaped = tuple[tuple[int, ...], str]


@dataclass(frozen=True, eq=False)
class SignalForm:
    """A use of an operator.

    Attributes:
        operator: its name. inputs, outputs: shapes and types. constants: operands behind the inputs.
        defined: elements of the first output that TFLM defines; None for all.
        valid: the second output says whether the first one counts.
        largest: of the inputs' magnitudes; None for all of the type.
    """

    operator: str
    inputs: Sequence[Shaped]
    outputs: Sequence[Shaped]
    options: Options
    constants: Sequence[np.ndarray] = ()
    defined: slice | None = None
    valid: bool = False
    largest: int | None = None

    def parts(self) -> tuple[TfliteBuilder, list[int], list[int]]:
        """(model, inputs, outputs)."""
        b, ends = TfliteBuilder(), (self.inputs, self.outputs)
        inputs, outputs = ([b.tensor(shape, dtype=dtype) for shape, dtype in each] for each in ends)
        b.custom(self.operator, [*inputs, *map(b.constant, self.constants)], outputs, self.options)
        return b, inputs, outputs

    def content(self) -> bytes:
        b, inputs, outputs = self.parts()
        return b.build(inputs, outputs)

    def graph(self) -> Graph:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return import_tflite(self.content(), "m", "m.tflite")

    def sequence(self, steps: int) -> list[list[np.ndarray]]:
        rng = np.random.default_rng(len(self.inputs) + sum(map(int, self.options.values())) % 1000)
        return [[self._values(rng, *each) for each in self.inputs] for _ in range(steps)]

    def _values(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        if dtype == "float32":
            return rng.normal(0, 1, shape).astype(np.float32)
        limits = np.iinfo(dtype)
        if shape == ():
            return np.array(rng.integers(0, 16), dtype)  # a shift
        if self.largest is not None:
            return rng.integers(-self.largest, self.largest, shape).astype(dtype)
        bits = limits.bits - limits.kind.count("i")
        magnitudes = rng.integers(0, 1 << 63, shape, np.uint64) >> rng.integers(63 - bits, 64, shape).astype(np.uint64)
        values = np.where(rng.random(shape) < 0.1, np.uint64(limits.max), magnitudes).astype(dtype)
        return np.where(rng.random(shape) < 0.5, values, ~values) if limits.min < 0 else values


def forms_of(operator: str) -> list[SignalForm]:
    """Those of an operator's test, named as in the file: SignalPCAN."""
    kind = "signal_" + re.sub("(?<=[a-z])(?=[A-Z])", "_", operator.removeprefix("Signal")).lower()
    module = import_module("tests.frontend.test_tflite_signal" if kind == "signal_delay" else f"tests.ops.test_{kind}")
    return [*module.FORMS, *getattr(module, "FLOATS", ())]


@cache
def signal_sites(kind: str) -> list[Site]:
    """The nodes of an operator's forms, which its test has."""
    module = import_module(f"tests.ops.test_{kind}")
    forms: list[SignalForm] = [*module.FORMS, *getattr(module, "FLOATS", ())]
    found = list[Site]()
    for form in forms:
        graph = form.graph()
        found += [graph.site(node) for node in graph.nodes if node.op.kind == kind]
    return found


def measured(form: SignalForm, outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What of an inference is defined."""
    first, *others = outputs
    if form.valid and not others[0].all():
        first = np.zeros_like(first)
    return [first if form.defined is None else first[form.defined], *others]


def ours(form: SignalForm, sequence: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    graph = form.graph()
    return [measured(form, [values[name] for name in graph.outputs]) for values in interpreter.steps(graph, sequence)]


def theirs(form: SignalForm, sequence: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    runtime = import_module("tflite_micro").runtime
    tflm, found = runtime.Interpreter.from_bytes(form.content(), arena_size=1 << 20), list[list[np.ndarray]]()
    for inputs in sequence:
        for number, value in enumerate(inputs):
            tflm.set_input(value, number)
        tflm.invoke()
        found.append(measured(form, [tflm.get_output(number).copy() for number in range(len(form.outputs))]))
    return found


def check(*forms: SignalForm, steps: int = 6, digest: str) -> None:
    """Our definition gives what the wheel gives; where that isn't installed, what it gave: 0.dev20261023182759.

    Args:
        digest: the beginning of the SHA-256 of all results; of floats the definition isn't bit-exact, and has none.
    """
    hashed, installed = hashlib.sha256(), find_spec("tflite_micro") is not None
    for form in forms:
        sequence = form.sequence(steps)
        found = ours(form, sequence)
        for values in (value for step in found for value in step):
            hashed.update(np.ascontiguousarray(values).tobytes() if values.dtype != np.float32 else b"")
        for number, (mine, right) in enumerate(zip(found, theirs(form, sequence) if installed else found, strict=True)):
            for a, b in zip(mine, right, strict=True):
                what = f"{form.operator} {form.options}, inference {number}"
                if a.dtype == np.float32:
                    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max(), err_msg=what)
                else:
                    assert a.dtype == b.dtype
                    np.testing.assert_array_equal(a, b, err_msg=what)
    found = hashed.hexdigest()[:16]
    assert found == digest, f"the digest is {found}"


def number_of(dtype: str) -> int:
    """Of the option T."""
    return TYPES[dtype]
