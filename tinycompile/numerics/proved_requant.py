"""Requantisations that were solved and proved in an earlier run are read instead of found again.

`solve` is that of `requant_solver`, which says what it does. An entry's key is all that a plan follows from: the rule,
the accumulators, what was asked for, and the text of this package, so that another solver or proof asks for other
entries.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tinycompile.disk_cache import DiskCache, digest
from tinycompile.numerics import requant_solver
from tinycompile.numerics.fixed_point import Int64Array
from tinycompile.numerics.latitude import Form, Latitude
from tinycompile.numerics.requant import Requant
from tinycompile.numerics.requant_plan import RequantPlan

Array = NDArray[Any]

_CACHE = DiskCache("requant", limit=32 << 20)
_ARRAYS = ("shift", "multiplier", "offset", "start", "sign_step")
_NUMBERS = ("form", "pre", "low", "high", "factor")


def solve(
    rule: Requant,
    acc_min: Int64Array,
    acc_max: Int64Array,
    base: Int64Array,
    pre: int,
    *,
    forms: Sequence[Form] = requant_solver.DSP_FORMS,
    start_fixed: bool = False,
    latitude: Latitude | None = None,
    factor: int = 1,
) -> RequantPlan:
    """As `requant_solver.solve`, with its arguments and errors."""

    def found() -> RequantPlan:
        return requant_solver.solve(
            rule,
            acc_min,
            acc_max,
            base,
            pre,
            forms=forms,
            start_fixed=start_fixed,
            latitude=latitude,
            factor=factor,
        )

    if _CACHE.folder is None or not _is_ours(rule):
        return found()
    asked = f"{pre} {list(forms)} {start_fixed} {latitude} {factor}".encode()
    key = digest(_sources(), asked, *_facts(rule), *(_bytes(array) for array in (acc_min, acc_max, base)))
    known = _CACHE.get(key)
    if known is None:
        plan = found()
        _CACHE.put(key, _packed(plan))
        return plan
    return _unpacked(known, rule)


def _is_ours(rule: Requant) -> bool:
    """Whether its meaning is in this package's text, and in values that `_facts` can tell from others."""
    ours = type(rule).__module__.rpartition(".")[0] == requant_solver.__name__.rpartition(".")[0]
    return ours and all(isinstance(value, np.ndarray | int | float | str | np.generic) for _, value in _values(rule))


def _values(rule: Requant) -> list[tuple[str, Any]]:
    """Name and value of all that a rule is made of."""
    return [(each.name, getattr(rule, each.name)) for each in fields(cast(Any, rule))]


@cache
def _sources() -> bytes:
    return digest(*(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).encode()


def _facts(rule: Requant) -> list[bytes]:
    found = [type(rule).__name__.encode()]
    for name, value in _values(rule):
        is_array = isinstance(value, np.ndarray)
        found += [name.encode(), _bytes(cast(Array, value)) if is_array else repr(value).encode()]
    return found


def _bytes(array: Array) -> bytes:
    return f"{array.dtype.str}{array.shape}".encode() + array.tobytes()


def _packed(plan: RequantPlan) -> bytes:
    """A line of numbers, then the arrays."""
    head = json.dumps([getattr(plan, name) for name in _NUMBERS])
    arrays = b"".join(getattr(plan, name).astype("<i4").tobytes() for name in _ARRAYS)
    return head.encode() + b"\n" + arrays + plan.constant.tobytes()


def _unpacked(content: bytes, rule: Requant) -> RequantPlan:
    head, arrays = content.split(b"\n", 1)
    count = rule.channels
    numbers = dict(zip(_NUMBERS, json.loads(head), strict=True))
    rows = np.frombuffer(arrays, "<i4", len(_ARRAYS) * count).astype(np.int32).reshape(-1, count)
    constant = np.frombuffer(arrays, np.bool_, count, offset=rows.nbytes).copy()
    return RequantPlan(**numbers, **dict(zip(_ARRAYS, rows, strict=True)), constant=constant, rule=rule)
