"""Everything that can go wrong because of what the user gave us.

One base class, one subclass per kind of mistake. A message says *where* (file, operator, tensor),
*what* is wrong, *why*, and what to try (`hint`). The command line prints it and exits with
`exit_code`; it never shows a traceback for one of these.
"""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST = 4000


def _printable(text: str) -> str:
    """Names come from files that aren't trusted: no terminal escapes, no reversed text, no endless lines."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def _restored(kind: type[TinycompileError], args: tuple[object, ...]) -> TinycompileError:
    """An error whose attributes are set afterwards, as pickle does."""
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class TinycompileError(Exception):
    """Base of all user-facing errors.

    Args:
        what: the mistake in one sentence.
        where: file, operator or tensor it was found in.
        why: the rule or fact behind it.
        hint: what the user can try.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", why: str = "", hint: str = "") -> None:
        self.what, self.where, self.why, self.hint = what, where, why, hint
        super().__init__(self.render())

    def __reduce__(self) -> tuple[object, ...]:
        """Exceptions are pickled by their positional arguments, which these don't take; they cross processes."""
        return _restored, (type(self), self.args), self.__dict__

    def found_in(self, where: str) -> None:
        """Says another place: that of a temporary file tells its user nothing."""
        self.where = where
        self.args = (self.render(),)

    def render(self) -> str:
        """The message as printed, one fact per line: printable and of a bounded length, whatever a file's names are."""
        lines = [f"{_printable(self.where)}: {_printable(self.what)}" if self.where else _printable(self.what)]
        if self.why:
            lines.append(f"  why: {_printable(self.why)}")
        if self.hint:
            lines.append(f"  try: {_printable(self.hint)}")
        return "\n".join(lines)


class UsageError(TinycompileError):
    """An option or argument that makes no sense."""


class ModelFileError(TinycompileError):
    """The model file is missing, truncated, corrupt or not what its name says."""


def system_reason(error: OSError | ValueError) -> str:
    """What the system has against a file, in words: without a number, or the name, which may be a temporary file's."""
    words = error.strerror if isinstance(error, OSError) else None
    return str(error) if words is None else words.lower()


class UnsupportedError(TinycompileError):
    """Operators, variants or data types that tinycompile can't compile (all of them at once)."""

    def __init__(self, problems: Sequence[tuple[str, str]], *, where: str = "", hint: str = "") -> None:
        """`problems` lists (operator, reason) pairs."""
        self.problems = tuple(problems)
        many = len(self.problems) > 1
        what = f"{len(self.problems)} operators are not supported" if many else "an operator is not supported"
        why = "; ".join(f"{operator}: {reason}" for operator, reason in self.problems[:20])
        if len(self.problems) > 20:
            why += f"; and {len(self.problems) - 20} more"
        super().__init__(what, where=where, why=why, hint=hint or "`tinycompile ops` lists what is supported")


class QuantizationNeededError(TinycompileError):
    """A float model where an int8 one is needed."""


class DoesNotFitError(TinycompileError):
    """The model needs more RAM or flash than the target has.

    Attributes:
        smallest_bytes: the least RAM with which it fits, if known; else 0.
    """

    smallest_bytes = 0


class TargetError(TinycompileError):
    """Unknown target, or a board description that is wrong."""


class IncompatibleError(TinycompileError):
    """A model whose weights the code of an older build can't use."""

    exit_code = 1


class SamplesError(TinycompileError):
    """A samples file that can't be read or doesn't match the model."""


class ToolMissingError(TinycompileError):
    """An external tool (compiler, QEMU, LiteRT) that isn't installed."""


class ToolFailedError(TinycompileError):
    """An external tool that was found and failed."""


class DeviceError(TinycompileError):
    """A board on a serial port that doesn't answer, has another firmware, or fails at what it is asked to do."""


class TinycompileWarning(UserWarning):
    """Base of what a user should know although the model can be compiled: raised by `warnings.warn`, printed by the
    command line.
    """


class FloatIslandWarning(TinycompileWarning):
    """An operator runs in float32: in a quantised model, or in one that nobody said should."""


class PrecisionWarning(TinycompileWarning):
    """Something is computed with fewer bits than the model says."""


class QuantizationWarning(TinycompileWarning):
    """Quantising a float model loses something that one wouldn't expect."""


class MismatchError(TinycompileError):
    """Firmware and reference disagree."""

    exit_code = 1
