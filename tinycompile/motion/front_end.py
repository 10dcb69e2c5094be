"""What a front end for motion is: samples of accelerometers and gyroscopes to a model's windows, which overlap."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Any, cast

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16
from tinycompile.errors import UsageError
from tinycompile.ir import MAX_RAM_BYTES, Graph, Node, State, TensorType, free_name
from tinycompile.ops.delay_line import DelayLine
from tinycompile.ops.motion_resample import MOST, MotionResample
from tinycompile.ops.motion_window import FRACTION, MOST_STEPS, MotionWindow
from tinycompile.ops.reshape import Reshape
from tinycompile.settings import typed

KIND = "imu"
"""What a file says that is for motion."""

NORMALISE = ("none", "constants", "window")

FULL_SCALE = 32768
"""The sample that would be `range`."""


@dataclass(frozen=True)
class Motion:
    """A front end: another rate, windows, means and deviations.

    Attributes:
        channels: of a sample. hop: samples that an inference takes.
        rate_in, rate_out: of samples and of the model's steps; in the same unit, whichever it is.
        channels_first: whether the model's window has them in front of its steps.
        range: what a sample of 32768 is in the model's unit; one, or one for each channel.
        normalise: "none"; "constants", which are `mean` and `deviation`; or "window", by those of each window.
        mean, deviation: in the model's unit; one, or one for each channel.
    """

    channels: int = 3
    hop: int = 1
    rate_in: float = 1.0
    rate_out: float = 1.0
    channels_first: bool = False
    range: tuple[float, ...] = (1.0,)
    normalise: str = NORMALISE[0]
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    @staticmethod
    def read(name: str) -> Motion | None:
        """A TOML file with `kind = "imu"`, or `imu:{...}` with a table as in such a file; None of others.

        Raises:
            UsageError: it has such a kind, or one that there is not, and settings that make no sense.
        """
        path, inline = Path(name), name.startswith(f"{KIND}:")
        if not inline and (path.suffix != ".toml" or not path.is_file()):
            return None
        where = "--frontend" if inline else str(path)
        try:
            text = f"given = {name.removeprefix(f'{KIND}:')}" if inline else path.read_text("utf-8")
            table = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise UsageError("this is no TOML file", where=where, why=str(error)) from error
        given: object = table["given"] if inline else table
        if not isinstance(given, dict) or (not inline and "kind" not in given):
            return None
        settings = cast("dict[str, Any]", given)
        kind = settings.pop("kind", KIND)
        if kind != KIND:
            raise UsageError(
                f"there is no kind {kind!r} of front end", where=where, hint='kind = "imu", or none for audio'
            )
        found = Motion(**typed(Motion, settings, where))
        found._check(where)
        return found

    @property
    def text(self) -> str:
        """As `read` takes it, without a file."""
        return f"{KIND}:{{{', '.join(f'{each.name} = {_toml(getattr(self, each.name))}' for each in fields(self))}}}"

    @property
    def rate(self) -> Fraction:
        """Samples for each step of the model."""
        return Fraction(str(self.rate_in)) / Fraction(str(self.rate_out))

    @property
    def new(self) -> int:
        """Steps of the model in an inference."""
        return int(self.hop / self.rate)

    def per_channel(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """One for each."""
        return values * self.channels if len(values) == 1 else values

    def _check(self, where: str) -> None:
        for name in ("channels", "hop", "rate_in", "rate_out"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value}", where=where, why="it has to be more than 0")
        if 2 * self.hop * self.channels > MAX_RAM_BYTES:
            why = f"it would have more than {MAX_RAM_BYTES:,} bytes"
            raise UsageError(f"a hop of {self.hop} samples of {self.channels} channels", where=where, why=why)
        if self.normalise not in NORMALISE:
            raise UsageError(
                f"normalise is {self.normalise!r}", where=where, hint=f"one of: {', '.join(map(repr, NORMALISE))}"
            )
        for name in ("range", "mean", "deviation"):
            self._check_numbers(name, where)
        rate = self.rate
        if max(rate.numerator, rate.denominator) > MOST:
            why = f"{rate.numerator} samples would become {rate.denominator}"
            raise UsageError(f"rate_in and rate_out are no ratio of integers up to {MOST}", where=where, why=why)
        if self.hop % rate.numerator:
            raise UsageError(
                f"a hop of {self.hop} samples gives no whole number of steps",
                where=where,
                why=f"{rate.numerator} samples become {rate.denominator} at these rates",
                hint=f"hop = {rate.numerator * max(1, round(self.hop / rate.numerator))}",
            )

    def _check_numbers(self, name: str, where: str) -> None:
        values: tuple[float, ...] = getattr(self, name)
        if len(values) not in (1, self.channels):
            why = f"one is wanted, or one for each of the {self.channels} channels"
            raise UsageError(f"{name} has {len(values)} numbers", where=where, why=why)
        wrong = next((v for v in values if not isfinite(v) or (name != "mean" and v <= 0)), None)
        if wrong is not None:
            raise UsageError(
                f"{name} is {wrong}", where=where, why="it has to be finite, and more than 0 but for means"
            )
        if name == "range":
            return
        default = next(each.default for each in fields(self) if each.name == name)
        if self.normalise != "constants" and values != default:
            raise UsageError(f"{name} without constants", where=where, hint='normalise = "constants"')
        if name == "deviation":
            return
        ranges = self.per_channel(self.range)
        outside = [v for v, r in zip(self.per_channel(values), ranges, strict=True) if abs(v) > r]
        if outside:
            raise UsageError(
                f"a mean of {outside[0]} is outside of the range", where=where, hint="the same unit for both"
            )


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(list(cast("tuple[float, ...]", value)))
    return f'"{value}"' if isinstance(value, str) else str(value)


def with_motion(graph: Graph, motion: Motion) -> Graph:
    """The graph with samples of a hop as its input: int16 (1, hop, channels).

    Raises:
        UsageError: the model has several inputs, or none that is a window of so many channels.
    """
    if len(graph.inputs) != 1 or graph.inputs[0] in graph.outputs:
        why = f"it has {len(graph.inputs)}" if len(graph.inputs) != 1 else "its input is an output as well"
        raise UsageError("--frontend needs a model with one input", where=graph.name, why=why)
    (name,) = graph.inputs
    taken = {*graph.types, *(node.name for node in graph.nodes)}
    prefixes = {each[:end] for each in taken for end, letter in enumerate(each) if letter == "/"}
    front = front_end(motion, name, graph.types[name], graph.name, free_name(name, prefixes))
    return replace(
        graph,
        inputs=front.inputs,
        nodes=(*front.nodes, *graph.nodes),
        types={**graph.types, **front.types},
        states=(*front.states, *graph.states),
    )


def front_end(motion: Motion, name: str, t: TensorType, where: str = "", prefix: str = "") -> Graph:
    """From the samples of a hop to the window that a model takes, of type `t`, called `name`.

    Args:
        where: the model, for messages. prefix: of the names of what is between.

    Raises:
        UsageError: it isn't one of so many channels, or shorter than a hop.
    """
    channels, steps = motion.channels, _steps(motion, t, where)
    prefix = prefix or name
    samples = f"{prefix}/samples"
    types = {name: t, samples: TensorType((1, motion.hop, channels), INT16)}
    nodes, states, window = list[Node](), list[State](), samples

    def add(part: str, op: Any, inputs: tuple[str, ...], made: TensorType) -> str:
        result = f"{prefix}/{part}"
        types[result] = made
        nodes.append(Node(result, op, inputs, (result,)))
        return result

    def state(part: str, rows: int) -> str:
        """Of zeros; its next value is that which is called `<part>_next`."""
        kept, shape = f"{prefix}/{part}", (1, rows, channels)
        types[kept] = TensorType(shape, INT16)
        states.append(State(kept, np.zeros(shape, np.int16), f"{kept}_next"))
        return kept

    if motion.rate != 1:
        resample = MotionResample(motion.rate.numerator, motion.rate.denominator)
        before = state("sample_before", 1)
        window = add("steps", resample, (samples, before), TensorType((1, motion.new, channels), INT16))
        add("sample_before_next", DelayLine(1, motion.hop - 1, 1), (before, samples), types[before])
    if motion.new < steps:
        line = state("window", steps)
        window = add("window_next", DelayLine(1, 0, motion.new), (line, window), types[line])
    op = _numbers(motion, t, steps, where)
    ((shape, dtype),) = op.infer([types[window]])
    numbers = add("numbers", op, (window,), TensorType(shape, dtype, t.quant))
    nodes.append(Node(f"{prefix}/shape", Reshape(t.shape), (numbers,), (name,)))
    return Graph("motion", (samples,), (name,), tuple(nodes), types, {}, states=tuple(states))


def _steps(motion: Motion, t: TensorType, where: str) -> int:
    """Of the model's window."""
    steps, left = divmod(t.elements, motion.channels)
    sides = (motion.channels, steps) if motion.channels_first else (steps, motion.channels)
    flat = (t.elements,) if not motion.channels_first else sides
    has = tuple(n for n in t.shape if n > 1)
    if left or has not in (tuple(n for n in sides if n > 1), flat) or t.dtype not in (INT8, INT16, FLOAT32):
        raise UsageError(
            f"the model's input is no window of {motion.channels} channels",
            where=where,
            why=f"it is {t}; wanted is {'channels x steps' if motion.channels_first else 'steps x channels'}"
            " of int8, int16 or float32, beside sizes of 1",
            hint=f"channels, or channels_first = {_toml(not motion.channels_first)}",
        )
    if not motion.new <= steps <= MOST_STEPS:
        why = f"the model's window has {steps} steps, of {MOST_STEPS} at most; a hop is {motion.new}"
        raise UsageError("no hop is longer than the window", where=where, why=why, hint="a smaller hop")
    return steps


def _numbers(motion: Motion, t: TensorType, steps: int, where: str) -> MotionWindow:
    """The layer that makes the model's numbers of a window."""
    if t.quant is not None and not t.quant.is_per_tensor:
        raise UsageError("--frontend needs an input with one scale", where=where, why=f"it is {t}")
    integer = t.dtype != FLOAT32 and t.quant is not None
    scale, zero_point = (Fraction(t.scale), t.zero_point) if integer else (Fraction(1), 0)
    layout = t.dtype, motion.channels_first, zero_point
    if motion.normalise == "window":
        return MotionWindow(*layout, (), (_fixed(Fraction(steps, FRACTION) / scale, where),))
    whole = FULL_SCALE * FRACTION
    given = motion.range, motion.mean, motion.deviation
    ranges, means, deviations = ([Fraction(value) for value in motion.per_channel(each)] for each in given)
    counted = tuple(min(round(mean / most * whole), whole - FRACTION) for mean, most in zip(means, ranges, strict=True))
    factors = tuple(_fixed(r / whole / d / scale, where) for r, d in zip(ranges, deviations, strict=True))
    return MotionWindow(*layout, counted, factors)


def _fixed(real: Fraction, where: str) -> tuple[int, int]:
    """(multiplier of 31 bits, shift) of the nearest multiplier / 2^shift."""
    shift = 30 - (real.numerator.bit_length() - real.denominator.bit_length())
    multiplier = round(real * Fraction(2) ** shift)
    while not 2**30 <= multiplier < 2**31:
        shift += 1 if multiplier < 2**30 else -1
        multiplier = round(real * Fraction(2) ** shift)
    if not 1 <= shift < 96:
        raise UsageError(
            f"range, deviation and the model's scale are of other sizes: a factor of {float(real):g}",
            where=where,
            hint="the unit that the model was trained with",
        )
    return multiplier, shift
