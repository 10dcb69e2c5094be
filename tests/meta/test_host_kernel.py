"""What runs kernels on this machine sees what it is for, and says it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.host_kernel import run_kernel
from tinycompile.dtypes import INT32
from tinycompile.ir import TensorType
from tinycompile.kernels.base import Function, Kernel

FAULTS = {
    "output[0] = input[4];": "heap-buffer-overflow",
    "output[-1] = input[0];": "heap-buffer-overflow",
    "output[0] = input[0] + input[1];": "signed integer overflow",
    "output[0] = 1 << input[2];": "shift exponent 32",
    "output[0] = *(const int32_t *)(const void *)((const char *)input + 1);": "misaligned address",
}


@pytest.mark.parametrize("statement", FAULTS)
def test_a_fault_is_reported(statement: str) -> None:
    function = Function("faulty", ("const int32_t *input", "int32_t *output"), f"    {statement}\n")
    x = np.array([2**31 - 1, 1, 32, 0], np.int32)
    with pytest.raises(AssertionError, match=FAULTS[statement]):
        run_kernel(Kernel("faulty", function), [x], TensorType((1,), INT32), sanitize=True)


def test_a_warning_is_an_error() -> None:
    function = Function("narrow", ("const int32_t *input", "int8_t *output"), "    output[0] = input[0];\n")
    with pytest.raises(AssertionError, match="Wconversion"):
        run_kernel(Kernel("narrow", function), [np.zeros(4, np.int32)], TensorType((1,), INT32), sanitize=True)
