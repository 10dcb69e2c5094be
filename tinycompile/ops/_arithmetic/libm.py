"""Functions of float32 as the C library of this machine has them, which LiteRT calls to fill its tables.

C libraries differ in the last bits of these (glibc rounds them correctly from version 2.41 on), and NumPy has its own.
Of the tables of int16, whose entries are wide enough to show it, 3 to 8 of 150 would differ from LiteRT's on the same
machine.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import numpy as np

from tinycompile.ir import Array


def _function(name: str) -> Callable[[Array], Array]:
    function = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)[name]
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return np.vectorize(function, otypes=[np.float32])


erfc = _function("erfcf")
tanh = _function("tanhf")
