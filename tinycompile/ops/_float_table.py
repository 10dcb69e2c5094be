"""int8 functions that LiteRT defines through float32: a table filled at load time (`PopulateLookupTable`)."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._elementwise import Unary


class FloatTable(Unary):
    """q -> clamp(round(f(scale * (q - zero_point)) / output scale) + zero point of the output), all in float32."""

    @abstractmethod
    def real(self, x: Array) -> Array:
        """f: float32 to float32."""

    def of(self, sig: Signature, x: Array) -> Array:
        centred = (x.astype(np.int32) - sig.input.zero_point).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            transformed = self.real(np.float32(sig.input.scale) * centred).astype(np.float32)
            rescaled = transformed * (np.float32(1) / np.float32(sig.output.scale))
        # std::round: halves away from zero; exact in float64.
        rounded = np.copysign(np.floor(np.abs(rescaled.astype(np.float64)) + 0.5), rescaled)
        return np.clip(rounded + sig.output.zero_point, -128, 127).astype(np.int8)
