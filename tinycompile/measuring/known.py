"""What was measured, in this process and in the user's cache folder."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from tinycompile import object_file
from tinycompile.disk_cache import DiskCache, digest
from tinycompile.errors import UsageError
from tinycompile.kernels.base import Kernel
from tinycompile.layout import Layout
from tinycompile.measuring.firmware import Measured, laboratory, measured
from tinycompile.measuring.fixed import Fixed, firmware, fixed
from tinycompile.measuring.unit import Unit, nothing
from tinycompile.objects import compiler_identity
from tinycompile.options import Options
from tinycompile.progress import step
from tinycompile.resources import runtime_dir, templates_dir
from tinycompile.targets import Board, Memory
from tinycompile.toolchain import require

_CACHE = DiskCache("layers", limit=64 << 20)
_KNOWN = dict[str, Measured]()
_MEASURES = dict[Hashable, "Measures"]()
_KEPT_KEYS = 20_000
_BATCH_BYTES = 1 << 20
"""Of constants in one firmware; a layer with more is alone in one."""
_BATCH_LAYERS = 48


Measuring = Literal["none", "known", "all", "whole"]
"""Of layers: estimates for all; measures where others have measured them before; all measured. Or the network, compiled
as it would be built, and run."""


def check_measurable(board: Board, options: Options, *, whole: bool) -> None:
    """Raises UsageError: layers, or networks as a whole, can't be measured."""
    possible = not board.is_host if whole else Measures.possible(board)
    if possible and options.weights != "separate" and options.train is None:
        return
    why = "with weights apart or training" if possible else "as QEMU doesn't run its firmware"
    what = "the network" if whole else "the layers"
    raise UsageError(f"{what} can't be measured for {board.name} {why}", hint="without --measure")


class Measures:
    """The layers of a board that are known, and the means to get to know others.

    Args:
        board: for which `can_measure` is true.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self._keys = dict[tuple[int, frozenset[str], tuple[bytes, ...]], tuple[Kernel, str]]()
        self._fixed = dict[tuple[Layout, tuple[str, ...], Memory | None], Fixed]()

    @staticmethod
    def of(board: Board) -> Measures:
        """The same ones for a board whenever it is asked for, so that keys are found once."""
        what = board.name, str(board.folder), board.cflags, board.core.name, board.core.features
        return _MEASURES.setdefault(what, Measures(board))

    @staticmethod
    def possible(board: Board) -> bool:
        """Whether QEMU runs the board's core."""
        return not board.is_host and board.emulated() is not None

    @cached_property
    def nothing(self) -> Unit:
        """What all models have."""
        return nothing(self.board.core)

    def get(self, unit: Unit) -> Measured | None:
        """What a layer takes; None where it hasn't been measured."""
        key = self._key(unit)
        if key not in _KNOWN:
            stored = _CACHE.get(key)
            if stored is None:
                return None
            _KNOWN[key] = Measured.of_json(json.loads(stored))
        return _KNOWN[key]

    def measure(self, units: Iterable[Unit]) -> int:
        """Measure those that aren't known, each once; how many these were.

        Raises:
            ToolMissingError: no compiler, or no QEMU. ToolFailedError: one of them failed.
        """
        missing = {self._key(unit): unit for unit in (self.nothing, *units) if self.get(unit) is None}
        done = 0
        for batch in _batches(list(missing.items())):
            step(f"measuring layers, {done + 1} to {done + len(batch)} of {len(missing)}")
            for (key, _), found in zip(batch, measured([unit for _, unit in batch], self.board), strict=True):
                _KNOWN[key] = found
                _CACHE.put(key, json.dumps(found.as_json()).encode())
            done += len(batch)
        return done

    def fixed(self, layout: Layout, library: Iterable[str], copies: Memory | None) -> Fixed:
        """What a firmware has beside its layers, built where it isn't known.

        It is known by all of its files: those of the board are its user's, who may change them.

        Args:
            library, copies: as `firmware` takes them.

        Raises:
            ToolMissingError, ToolFailedError: as `fixed`.
        """
        called = tuple(sorted(set(library)))
        about = layout, called, copies
        if about not in self._fixed:
            printed = firmware(self.board, layout, called, copies)
            files = (text.encode() for pair in sorted(printed.files.items()) for text in pair)
            key = digest(self.tools.encode(), *files)
            stored = _CACHE.get(key)
            if stored is None:
                stored = json.dumps(fixed(printed).as_json()).encode()
                _CACHE.put(key, stored)
            self._fixed[about] = Fixed.of_json(json.loads(stored))
        return self._fixed[about]

    def _key(self, unit: Unit) -> str:
        """Kept for kernels that were seen before: those with typical weights are the same ones for all models."""
        place = id(unit.kernel), unit.shared, tuple(array.tobytes() for array in unit.values)
        known = self._keys.get(place)
        if known is None:
            if len(self._keys) >= _KEPT_KEYS:
                self._keys.clear()
            known = self._keys[place] = unit.kernel, digest(self.tools.encode(), unit.key.encode())
        return known[1]

    @cached_property
    def tools(self) -> str:
        """Compiler, flags, core, and the text around layers."""
        board = self.board
        compiler = require(board.compiler, board.toolchain)
        flags = [*board.cflags, *board.toolchain.warnings, *board.toolchain.compile_flags]
        features = sorted(board.core.features)
        identity = compiler_identity(compiler, flags)
        return f"{identity} {flags} {features} {laboratory(board).name} {_texts()}"


@cache
def _texts() -> str:
    """A digest of headers, templates and of how layers are measured."""
    own = *Path(__file__).parent.glob("*.py"), Path(object_file.__file__)
    files = sorted((*runtime_dir().rglob("*.h"), *templates_dir().rglob("*.j2"), *own))
    return digest(*(part for path in files for part in (path.name.encode(), path.read_bytes())))


def _batches(missing: Sequence[tuple[str, Unit]]) -> list[list[tuple[str, Unit]]]:
    """As many as a firmware has room for, in their order."""
    found, size = list[list[tuple[str, Unit]]](), 0
    for each in missing:
        own = each[1].kernel.constant_bytes
        if not found or len(found[-1]) == _BATCH_LAYERS or size + own > _BATCH_BYTES:
            found.append([])
            size = 0
        found[-1].append(each)
        size += own
    return found
