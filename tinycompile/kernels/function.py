"""What a kernel calls: a specialised C function."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinycompile.kernels.render import Later

_CALLEE = re.compile(r"\$(\d+)")


@dataclass(frozen=True)
class Function:
    """A specialised C function, shared by every layer whose text is the same.

    Attributes:
        stem: a readable base for its name, such as "conv2d_3x3s1_32x32x3_16".
        parameters: C declarations in the order inputs, outputs, constants, scratch: `const int8_t *input`.
        text: the C statements between the braces, indented by four spaces.
        headers: runtime headers that it needs, relative to `runtime/`.
        comment: what it does and which trick it uses, one or more lines.
        callees: functions that it calls; `text` has `$0` where it names the first of them, `$1` the second.
        preambles: file-scope texts needed before it, such as the macros that define block functions (docs/kernels.md),
            each shared like a function.
    """

    stem: str
    parameters: tuple[str, ...]
    text: str | Later
    headers: tuple[str, ...] = field(default_factory=tuple[str, ...])
    comment: str = field(default_factory=str)
    preambles: tuple[str, ...] = field(default_factory=tuple[str, ...])
    callees: tuple[Function, ...] = field(default_factory=lambda: ())

    @staticmethod
    def later(stem: str, parameters: tuple[str, ...], make: Callable[[], Function]) -> Function:
        """What `make` makes, once somebody asks for more than these: few functions that are priced are called."""
        found = object.__new__(Function)
        found.__dict__.update(stem=stem, parameters=parameters, _make=make)
        return found

    @property
    def is_made(self) -> bool:
        """Whether all of it is known already."""
        return "_make" not in self.__dict__

    def __hash__(self) -> int:
        """Of what is always known: functions with other names aren't made to be told apart."""
        return hash((self.stem, self.parameters))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Of what isn't made yet: no field has a default in the class that would be found instead."""
            make = self.__dict__.get("_make")
            if make is None:
                raise AttributeError(name)
            made = make()
            self.__dict__.pop("_make", None)
            self.__dict__.update(made.__dict__)  # which may be one to be made later as well
            return getattr(self, name)

    @property
    def body(self) -> str:
        """`text`, rendered."""
        return str(self.text)

    def calling(self, names: Sequence[str]) -> str:
        """`body` with the names of the callees."""
        return _CALLEE.sub(lambda found: names[int(found[1])], self.body) if names else self.body

    @property
    def all_called(self) -> tuple[Function, ...]:
        """What it calls and what that calls, each before whoever calls it, and itself as the last."""
        inner = [each for callee in self.callees for each in callee.all_called]
        return (*dict.fromkeys(inner), self)
