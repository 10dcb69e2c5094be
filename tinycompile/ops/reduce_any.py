"""Whether any of the elements along some axes is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import BOOL
from tinycompile.ir import Array, Signature
from tinycompile.ops._reduce import Axes
from tinycompile.ops._rules import first_reason, wrong_dtype


@dataclass(frozen=True)
class ReduceAny(Axes):
    """bool, over any constant set of axes, with or without keeping them."""

    kind: ClassVar[str] = "reduce_any"

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.asarray(inputs[0].any(axis=self.axes, keepdims=self.keep_dims)),)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason((wrong_dtype(sig.input, "the input", BOOL), wrong_dtype(sig.output, "the output", BOOL)))
