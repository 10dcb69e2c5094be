"""What `--backend` asks for: as text, `smoothing:window=4,threshold=0.8`, or in a TOML file with a table for each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

from tinycompile.errors import UsageError

KEYS: dict[str, tuple[str, ...]] = {
    "class": ("output",),
    "top_k": ("k", "output"),
    "smoothing": ("window", "threshold", "minimum", "refractory", "ignored", "step", "output"),
    "anomaly": ("threshold", "data", "percentile", "step", "input", "output"),
    "boxes": (
        *(
            "anchors",
            "style",
            "score",
            "overlap",
            "most",
            "candidates",
            "background",
            "across",
            "activation",
            "scales",
            "values",
        ),
        *("encodings", "scores", "unit", "objectness"),
    ),
}
"""Of each back end."""


@dataclass(frozen=True)
class Request:
    """A back end and its settings, as text; `read` and its kin raise UsageError where that isn't what is wanted."""

    kind: str
    settings: Mapping[str, str]

    @property
    def text(self) -> str:
        """As `--backend` takes it, without a file."""
        items = ",".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.kind}:{items}" if items else self.kind

    @property
    def folds_softmax(self) -> bool:
        """Whether it asks for nothing that a softmax at the end changes."""
        return self.kind == "class"

    def fail(self, what: str, *, why: str = "", hint: str = "") -> UsageError:
        """An error of this back end."""
        return UsageError(f"--backend {self.kind}: {what}", why=why, hint=hint)

    def whole(self, key: str, default: int | None, low: int, high: int) -> int:
        """An integer from `low` to `high`; it has to be given where there is no default."""
        text = self._given(key, default)
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise self.fail(f"{key}={text}", hint=f"an integer from {low} to {high}")
        return number

    def real(self, key: str, default: str | None, low: float, high: float) -> Fraction:
        """A decimal number as it is written, from `low` to `high`."""
        text = self._given(key, default)
        try:
            number = Fraction(text)
        except (ValueError, ZeroDivisionError):
            raise self.fail(f"{key}={text}", hint="a number, such as 0.8") from None
        if not Fraction(str(low)) <= number <= Fraction(str(high)):  # as they are written, too
            raise self.fail(f"{key}={text}", hint=f"a number from {low:g} to {high:g}")
        return number

    def numbers(self, key: str) -> tuple[int, ...]:
        """Integers with colons between them; none where none are given."""
        text = self.settings.get(key, "")
        try:
            return tuple(int(part) for part in text.split(":")) if text else ()
        except ValueError:
            raise self.fail(f"{key}={text}", hint="integers with colons between them, such as 0:1") from None

    def word(self, key: str, choices: Sequence[str]) -> str:
        """One of several words, the first by default."""
        text = self.settings.get(key, choices[0])
        if text not in choices:
            raise self.fail(f"{key}={text}", hint=f"one of: {', '.join(choices)}")
        return text

    def path(self, key: str) -> Path | None:
        """A file, if one is given."""
        return Path(self.settings[key]) if key in self.settings else None

    def _given(self, key: str, default: object) -> str:
        text = self.settings.get(key)
        if text is None and default is None:
            raise self.fail(f"{key} is missing", hint=f"--backend {self.kind}:{key}=...")
        return str(default) if text is None else text


def read_requests(texts: Sequence[str]) -> tuple[Request, ...]:
    """Back ends as `--backend` takes them, each once.

    Raises:
        UsageError: there is no such back end, setting or file, or one is given twice.
    """
    found = [request for text in texts for request in (_of_file(text) if text.endswith(".toml") else [_of_text(text)])]
    kinds = [request.kind for request in found]
    for request in found:
        if kinds.count(request.kind) > 1:
            raise request.fail("it was asked for twice")
        if request.folds_softmax and "smoothing" in kinds:
            raise request.fail(
                "it doesn't go with smoothing",
                why="without the softmax, which only it can do without, there are no probabilities to smooth",
                hint="top_k:k=1 beside smoothing",
            )
    return tuple(found)


def _of_text(text: str) -> Request:
    kind, _, rest = text.partition(":")
    settings = dict[str, str]()
    for item in filter(None, rest.split(",")):
        key, sign, value = item.partition("=")
        if not sign or not value:
            raise UsageError(f"--backend {text}: {item!r} is no setting", hint=f"such as {_example(kind)}")
        if key.strip() in settings:
            raise UsageError(f"--backend {text}: {key.strip()} is there twice")
        settings[key.strip()] = value.strip()
    return _checked(kind, settings)


def _of_file(text: str) -> list[Request]:
    try:
        content = tomllib.loads(Path(text).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--backend {text}: no TOML file can be read", why=str(error)) from error
    found = list[Request]()
    for kind, table in content.items():
        if not isinstance(table, dict):
            raise UsageError(f"--backend {text}: {kind!r} is no table", hint=f"[{kind}]")
        settings = cast(dict[str, object], table)
        found.append(_checked(kind, {key: _setting(value) for key, value in settings.items()}))
    return found


def _setting(value: object) -> str:
    return ":".join(map(str, cast(list[object], value))) if isinstance(value, list) else str(value)


def _checked(kind: str, settings: dict[str, str]) -> Request:
    if kind not in KEYS:
        raise UsageError(f"--backend {kind!r} is unknown", hint=f"one of: {', '.join(KEYS)}; or a .toml file")
    for key in settings:
        if key not in KEYS[kind]:
            raise UsageError(
                f"--backend {kind}: {key!r} is no setting of it", hint=f"there are {', '.join(KEYS[kind])}"
            )
    return Request(kind, settings)


def _example(kind: str) -> str:
    return f"{kind}:{KEYS[kind][0]}=1" if kind in KEYS else "top_k:k=3"
