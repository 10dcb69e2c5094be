"""`--width 0.5=half.onnx`: files of narrower networks whose weights are parts of the widest one's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinycompile.errors import UsageError


@dataclass(frozen=True)
class Width:
    """A narrower network.

    Attributes:
        share: of the widest one's channels, between 0 and 1: what it is called by.
    """

    share: float
    path: Path

    @property
    def label(self) -> str:
        """The end of its names in C."""
        return label_of(self.share)


def label_of(share: float) -> str:
    """In percent: 0.5 is 50, 0.125 is 12_5."""
    return f"{100 * share:g}".replace(".", "_")


def read_widths(given: Mapping[float, str | Path]) -> tuple[Width, ...]:
    """From the widest to the narrowest."""
    return tuple(Width(float(share), Path(path)) for share, path in sorted(given.items(), reverse=True))


def check_widths(widths: Sequence[Width]) -> None:
    """Raises UsageError: one isn't narrower than the widest, or two have the same name."""
    for width in widths:
        check_shares([width.share], str(width.path), "--width", "0.5=half.onnx")
    check_shares([width.share for width in widths], "", "--width", "0.5=half.onnx")


def check_shares(shares: Sequence[float], where: str, option: str, example: str) -> None:
    """Raises UsageError: one isn't narrower than the widest, or two have the same name.

    Args:
        where: what is at fault. option, example: how shares are given.
    """
    for share in shares:
        if not 0 < share < 1:
            raise UsageError(
                f"{option} {share:g} isn't between 0 and 1",
                where=where,
                why="the model itself is the widest network, 1; the others are parts of it",
                hint=f"{option} {example}",
            )
        label = label_of(share)
        in_percent = f"its names in C end with a percentage of six digits at most, {100 * share:g} here"
        if label == label_of(1.0):
            raise UsageError(
                f"{option} {share!r} can't be told from the widest network",
                where=where,
                why=in_percent,
                hint="the share of its channels, such as 0.99",
            )
        if "e" in label:
            raise UsageError(
                f"{option} {share!r} is too narrow to be named",
                where=where,
                why=in_percent,
                hint="the share of its channels, such as 0.01",
            )
    labels = [label_of(share) for share in shares]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise UsageError(f"{option} {twice.replace('_', '.')} % is given twice", hint="each width once")
