"""Frames of channels beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import BOOL, INT16, INT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._signal import check_range, check_vectors, wrong_types


@dataclass(frozen=True)
class SignalStacker(Op):
    """int16: the newest frames beside each other, the oldest first, every `step` frames.

    Operands: a frame (n,), the frames (held * n,) before it, a state, and how many have come, another one, which goes
    on from `ahead` + 1 when a result has counted. Results: the frames ((held + 1) * n,), whether they count, both
    states. In front of the first frame are copies of it.

    Attributes:
        ahead: frames that must have come before the first result counts.
        step: frames from one result that counts to the next.
    """

    kind: ClassVar[str] = "signal_stacker"

    ahead: int
    step: int

    @property
    def updates(self) -> Mapping[int, int]:
        """Frames move towards the older ones, after the result is there."""
        return {2: 1, 3: 2}

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_vectors(inputs, None, None, 1)
        (n,), (held,) = inputs[0].shape, inputs[1].shape
        if not n or held % n:
            raise ValueError(f"{inputs[1]} in front of a frame {inputs[0]}")
        check_range(self.ahead, "the right context", 0, held // n)
        check_range(self.step, "the step", 1, held // n + 1)
        return ((held + n,), INT16), ((), BOOL), ((held,), INT16), ((1,), INT32)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, line, count = inputs[:3]
        came = int(count[0])
        if came <= 0:
            line = np.resize(x, line.shape)
        frames = np.concatenate([line, x])
        again = self.ahead + self.step
        following = np.array([self.ahead + 1 if came >= again else came + 1], np.int32)
        return frames, np.array(came in (self.ahead, again)), frames[len(x) :].copy(), following

    def unsupported(self, sig: Signature) -> str | None:
        return wrong_types(sig.inputs, ("the input", "the frames before", "the counter"), (INT16, INT16, INT32))
