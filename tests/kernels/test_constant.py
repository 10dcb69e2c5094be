"""Constants that are packed when they are printed: what is planned with them is what they become."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.kernel_checks import M7, site_of
from tinycompile.dtypes import INT32
from tinycompile.ir import TensorType
from tinycompile.kernels.base import Constant, Deferred
from tinycompile.kernels.movement import identity
from tinycompile.ops.identity import Identity


def test_size_and_layout_are_known_before_the_values() -> None:
    def compute() -> np.ndarray:
        raise AssertionError("nobody asked for the values")

    constant = Constant("weights", "int32_t", Deferred(5, np.int32, compute))
    assert constant.bytes == 20
    assert constant.layout == ((5,), np.dtype(np.int32))


def test_values_are_computed_once() -> None:
    calls = list[int]()

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(3, dtype=np.int16)

    constant = Constant("weights", "int16_t", Deferred(3, np.int16, compute))
    assert constant.values.tolist() == [0, 1, 2]
    assert constant.values is constant.values
    assert calls == [1]


@pytest.mark.parametrize("found", [np.zeros(4, np.int8), np.zeros(3, np.uint8), np.zeros((3, 1), np.int8)])
def test_values_that_are_not_what_was_announced_are_an_error(found: np.ndarray) -> None:
    constant = Constant("weights", "int8_t", Deferred(3, np.int8, lambda: found))
    with pytest.raises(ValueError, match="weights was announced as"):
        _ = constant.values


def test_an_array_is_itself() -> None:
    values = np.zeros(2, [("a", np.int32), ("b", np.int8)])
    constant = Constant("channels", "tc_channel", values)
    assert constant.values is values
    assert constant.bytes == 10


def test_an_output_that_is_an_empty_constant_has_an_array_that_c_knows() -> None:
    empty = TensorType((0,), INT32)
    kernel = identity(site_of(Identity(), [empty], [np.zeros(0, np.int32)], empty), M7)
    assert kernel is not None and [constant.values.size for constant in kernel.constants] == [1]
