"""Facts of an object that are computed when they are first read, and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

_T = TypeVar("_T")


class lazy(Generic[_T]):  # noqa: N801 - a decorator, as `property` is
    """`functools.cached_property` without its lock, which takes longer than most of what prices compute: two threads
    may compute the same fact, and either's is kept.
    """

    def __init__(self, compute: Callable[[Any], _T]) -> None:
        """`compute` makes the fact of the object."""
        self._compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | _T:
        if instance is None:
            return self
        found = instance.__dict__[self._name] = self._compute(instance)
        return found
