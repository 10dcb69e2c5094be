"""Kernels as data."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import pytest

from tinycompile.kernels.base import Kernel


def test_a_kernel_has_what_it_is_given_and_defaults_for_the_rest() -> None:
    one, other = Kernel("one", None, scratch_bytes=8, notes={"a": "b"}), Kernel("other", None)
    for each in fields(Kernel)[2:]:
        default = each.default if each.default_factory is MISSING else each.default_factory()
        given = {"scratch_bytes": 8, "notes": {"a": "b"}}.get(each.name, default)
        assert (getattr(one, each.name), getattr(other, each.name)) == (given, default)
    assert one.overlap is not other.overlap


def test_a_kernel_has_no_other_fields() -> None:
    wrong: Any = {"scratch": 8}
    with pytest.raises(TypeError, match="a kernel has no scratch"):
        Kernel("one", None, **wrong)
