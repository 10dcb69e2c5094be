"""`smoothing`: the moving average of scores, a threshold, and a refractory time; for wake words."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import ClassVar

import numpy as np

from tinycompile.backends.floats import HEADER, in_steps, literal
from tinycompile.backends.request import Request
from tinycompile.backends.scores import Scores, scores_of
from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8
from tinycompile.ir import Array, Quantization, TensorType

LONGEST = 1000
"""Inferences in a window: sums of 16 bits fit in 32."""


@dataclass(frozen=True)
class Smoothing:
    """A class is reported when the mean of its score over the last `window` inferences is the largest of all classes',
    of equals the one with the lower number, and reaches the threshold; then none for `refractory` inferences.

    Attributes:
        window: inferences of the mean. minimum: from how many on there is one.
        limits: what the sum of a score has to reach, of `minimum`, `minimum` + 1 ... `window` inferences: n scores with
            scale s and zero point z have a mean of at least t where their sum is at least n (z + t / s).
        ignored: classes that are never reported, such as silence.
        threshold: as it was given, for people.
        step: of float scores, whose numbers of steps are added up in the place of integers; None for these.
    """

    kind: ClassVar[str] = "smoothing"

    scores: Scores
    window: int
    minimum: int
    refractory: int
    limits: tuple[int, ...]
    ignored: tuple[int, ...]
    threshold: str
    step: np.float32 | None = None

    @property
    def headers(self) -> tuple[str, ...]:
        return () if self.step is None else (HEADER,)

    @property
    def ctype(self) -> str:
        """Of a score that is kept."""
        return self.scores.ctype if self.step is None else "int16_t"

    @property
    def step_literal(self) -> str:
        return "" if self.step is None else literal(self.step)

    def numbers(self, scores: Array) -> Array:
        """Scores of an inference as they are added up."""
        flat = scores.reshape(-1)
        return flat.astype(np.int64) if self.step is None else in_steps(flat, self.step, *INT16.range)

    @staticmethod
    def of(request: Request, outputs: Sequence[TensorType]) -> Smoothing:
        """Raises UsageError: the scores aren't integers with a scale, or a setting makes no sense."""
        scores = scores_of(request, outputs)
        t, step = scores.type, None
        if t.dtype == FLOAT32:
            step = np.float32(request.real("step", str(Fraction(1, 1 << 15)), 1e-30, 1e30))
            t = TensorType(t.shape, INT16, Quantization.per_tensor(float(step), 0))
        elif "step" in request.settings:
            raise request.fail("step is for float scores", why=f"output {scores.output} is {t}")
        if t.dtype not in (INT8, UINT8, INT16) or t.quant is None:
            raise request.fail("it needs scores of 8 or 16 bits with a scale, or floats", why=f"the output is {t}")
        window = request.whole("window", 4, 1, LONGEST)
        minimum = request.whole("minimum", min(3, window), 1, window)
        ignored = request.numbers("ignored")
        if any(not 0 <= number < scores.classes for number in ignored) or len(set(ignored)) == scores.classes:
            raise request.fail(f"ignored={request.settings['ignored']}", why=f"classes are 0 to {scores.classes - 1}")
        threshold, scale = request.real("threshold", None, -1e9, 1e9), Fraction(float(np.float32(t.scale)))
        limits = tuple(ceil(n * (t.zero_point + threshold / scale)) for n in range(minimum, window + 1))
        if not t.dtype.range[0] * window <= limits[-1] <= t.dtype.range[1] * window:
            low, high = ((q - t.zero_point) * t.scale for q in t.dtype.range)
            raise request.fail(
                f"no mean is about {request.settings['threshold']}", why=f"scores are from {low:.6g} to {high:.6g}"
            )
        refractory = request.whole("refractory", 2 * window, 0, 2**31 - 1)
        given = request.settings["threshold"]
        return Smoothing(scores, window, minimum, refractory, limits, tuple(sorted(set(ignored))), given, step)

    def start(self) -> Smoother:
        """Before the first inference."""
        return Smoother(self)


@dataclass
class Smoother:
    """The scores of the last inferences."""

    of: Smoothing
    last: deque[Array] = field(default_factory=deque[Array])
    quiet: int = 0

    def __call__(self, scores: Array) -> int | None:
        """The class that is reported after an inference with these scores, (classes,), if one is."""
        self.last.append(self.of.numbers(scores))
        if len(self.last) > self.of.window:
            self.last.popleft()
        if self.quiet:
            self.quiet -= 1
            return None
        count = len(self.last)
        if count < self.of.minimum:
            return None
        sums = np.sum(list(self.last), axis=0)
        best = int(sums.argmax())
        if best in self.of.ignored or sums[best] < self.of.limits[count - self.of.minimum]:
            return None
        self.quiet = self.of.refractory
        return best
