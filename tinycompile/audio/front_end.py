"""What an audio front end is: windows of samples to rows of features. Read from a file, or one that has a name."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_type_hints

from tinycompile.errors import UsageError

LOG_BITS = 6
"""After the binary point of a logarithm: `SignalFilterBankLog`'s scale is 64."""


GAIN_BITS = 12
"""Of a gain, after the binary point, and of `SignalPCAN`'s ratio."""

_LIMITS = {
    "sample_rate": (1, 10**7),
    "window_ms": (0, 10**5),
    "hop_ms": (0, 10**5),
    "window_bits": (0, 14),
    "filter_bits": (0, 14),
    "channels": (1, 1 << 12),
    "dct": (0, 1 << 12),
    "unit": (1e-9, 1e9),
    "low_hz": (0, 1e7),
    "high_hz": (0, 1e7),
}
_LIMITS_OF_NOISE = {
    **dict.fromkeys(("even", "odd", "remaining"), (0, 1)),
    "bits": (0, 30),
    "smoothing_bits": (0, 31),
    "strength": (0, 10),
    "offset": (1e-6, 1e6),
    "gain_bits": (0, 31),
}
"""Of settings: the smallest and the largest value; of bits those that int16 and int32 have."""


@dataclass(frozen=True)
class Noise:
    """How `SignalFilterBankSpectralSubtraction` estimates noise: the weight of a new frame in even and odd channels,
    the
    part of a channel that stays at least, and how gains fall with it (`SignalPCAN`).
    """

    even: float = 0.025
    odd: float = 0.06
    remaining: float = 0.05
    clamping: bool = False
    bits: int = 14
    smoothing_bits: int = 10
    strength: float = 0.95
    offset: float = 80.0
    gain_bits: int = 21


@dataclass(frozen=True)
class FrontEnd:
    """A front end: frame, window, transform, mel filters, roots, noise, logarithms, cosines.

    Attributes:
        sample_rate: samples in a second. window_ms, hop_ms: of a frame, and from one to the next.
        fft: points of the transform; None for the next power of two.
        window_bits, filter_bits: after the binary point of weights.
        channels: mel filters, from `low_hz` to `high_hz`.
        noise: what is done about noise; None for nothing.
        dct: coefficients of cosines, for MFCCs; 0 for the logarithms themselves.
        unit: of a logarithm (64 times a natural one), what a feature of 1 is.
        microspeech: int8 features are rounded as TFLM's example does it: x * 256 / 666 - 128, for whatever scale the
            model has.
    """

    sample_rate: int = 16000
    window_ms: float = 30
    hop_ms: float = 20
    fft: int | None = None
    window_bits: int = 12
    filter_bits: int = 12
    channels: int = 40
    low_hz: float = 125.0
    high_hz: float = 7500.0
    noise: Noise | None = field(default_factory=Noise)
    dct: int = 0
    unit: float = 25.6
    microspeech: bool = False

    @staticmethod
    def read(name: str, where: str = "--frontend") -> FrontEnd:
        """`micro`, TFLM's for its micro_speech example, or a TOML file. Raises UsageError."""
        if name == "micro":
            return FrontEnd(microspeech=True)
        path = Path(name)
        if path.suffix != ".toml" or not path.is_file():
            hint = "`micro`, or a file such as mfcc.toml (docs/audio.md)"
            raise UsageError(f"there is no front end {name!r}", where=where, hint=hint)
        try:
            return _of(tomllib.loads(path.read_text()), str(path))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError("this is no TOML file", where=str(path), why=str(error)) from error

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return round(self.window_ms * self.sample_rate / 1000)

    @property
    def hop(self) -> int:
        """Samples from a frame to the next: what an inference takes."""
        return round(self.hop_ms * self.sample_rate / 1000)

    @property
    def points(self) -> int:
        """Of the transform."""
        return self.fft or 1 << (self.window - 1).bit_length()

    @property
    def features(self) -> int:
        """Of a row."""
        return self.dct or self.channels

    @property
    def correction_bits(self) -> int:
        """By how much channels are smaller than they would be: a transform divides by its length, weights multiply."""
        return self.points.bit_length() - 1 - self.filter_bits // 2

    def check(self, where: str) -> None:
        """Raises UsageError."""
        from tinycompile.ops._signal import check_transform

        for name, (low, high) in _LIMITS.items():
            _within(self, name, low, high, where)
        wrong = next((name for name, least in (("window", 2), ("hop", 1)) if getattr(self, name) < least), None)
        if wrong is not None:
            raise UsageError(f"{wrong} is {getattr(self, wrong)}", where=where)
        if self.hop > self.window or self.window > self.points or self.dct > self.channels:
            sizes = f"hop {self.hop}, window {self.window}, fft {self.points}, channels {self.channels}, dct {self.dct}"
            raise UsageError(
                f"these sizes contradict each other: {sizes}",
                where=where,
                why="a hop is no longer than the window, that no longer than the transform, a dct than the channels",
            )
        if not 0 <= self.correction_bits < 32 or not 0 <= self.low_hz < self.high_hz:
            raise UsageError("filters of no frequencies, or of too few points", where=where)
        try:
            check_transform(self.points)
        except ValueError as error:
            raise UsageError("there is no such transform", where=where, why=str(error)) from error
        self._check_filters(where)

    def _check_filters(self, where: str) -> None:
        """That they are in the spectrum, and their bits in those of the noise."""
        from tinycompile.audio.tables import filter_bank

        try:
            filter_bank(self.points, self.sample_rate, self.channels, self.low_hz, self.high_hz, self.filter_bits)
        except ValueError as error:
            raise UsageError("there are no such filters", where=where, why=str(error)) from error
        if self.noise is None:
            return
        limits = {"smoothing_bits": self.correction_bits, "gain_bits": self.correction_bits + GAIN_BITS}
        for name, (low, high) in _LIMITS_OF_NOISE.items():
            _within(self.noise, name, limits.get(name, low), high, where)


def _of(table: dict[str, Any], where: str) -> FrontEnd:
    """From a TOML file's table; `noise = false` for a front end that does nothing about noise."""
    noise = table.pop("noise", {})
    front_end = FrontEnd(**_typed(FrontEnd, table, where), noise=None)
    if noise is not False:
        if not isinstance(noise, dict):
            raise UsageError("noise is no table", where=where, hint="[noise], or noise = false")
        front_end = FrontEnd(
            **_typed(FrontEnd, table, where), noise=Noise(**_typed(Noise, cast("dict[str, Any]", noise), where))
        )
    front_end.check(where)
    return front_end


def _within(settings: FrontEnd | Noise, name: str, low: float, high: float, where: str) -> None:
    value = getattr(settings, name)
    if not low <= value <= high:
        raise UsageError(f"{name} is {value}", where=where, hint=f"from {low:g} to {high:g}")


_WANTED = {int: "a whole number", int | None: "a whole number", float: "a number", bool: "true or false"}


def _typed(of: type[Any], table: dict[str, Any], where: str) -> dict[str, Any]:
    """Values of fields, each of the type that is written there. Raises UsageError."""
    kinds = {name: kind for name, kind in get_type_hints(of).items() if kind in _WANTED}
    for key, value in table.items():
        if key not in kinds:
            names = ", ".join((*kinds, "noise") if of is FrontEnd else kinds)
            raise UsageError(f"{key!r} is no setting of a front end", where=where, hint=f"there are: {names}")
        kind = kinds[key]
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not fits or isinstance(value, bool) != (kind is bool):
            raise UsageError(f"{key} is {value!r}", where=where, why=f"{_WANTED[kind]} is wanted")
    return table
