"""What is searched, and the folder in which a search goes on."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from tinycompile.errors import UsageError, system_reason
from tinycompile.report.document import replace_file
from tinycompile.search.data import Data
from tinycompile.search.prices import Limits
from tinycompile.search.slim import check_widths_of
from tinycompile.search.space import load_space
from tinycompile.search.study import STUDY, check_sampler
from tinycompile.search.tasks import Setup, load_trainer
from tinycompile.search.trainer import Recipe

SETTINGS = "search.json"
"""What is searched, in the folder of the results: a search goes on only with the same."""


LOCK = "lock"
"""The file that the process which searches has locked; however it ends, the system unlocks it."""
_BEFORE = (SETTINGS, LOCK, *(f"{STUDY}{end}" for end in ("", "-wal", "-shm", "-journal")))
"""What a folder has before anything is trained."""

_LEAST: dict[str, float] = {
    "trials": 1,
    "final_epochs": 1,
    "finalists": 1,
    "folds": 1,
    "seed": 0,
    "workers": 1,
    "supernet": 0,
    "direct_epochs": 1,
    "cost_weight": 0,
    "epochs": 1,
    "batch": 2,  # which a batch normalisation needs
    "rate": 1e-9,
    "shift": 0,
    "noise": 0,
}


@dataclass(frozen=True)
class Search:
    """What to search for.

    Attributes:
        space: a ready one's name, or a Python file. data: an `.npz`, see `Data.read`.
        output: the folder of the results, in which an interrupted search goes on.
        trials: candidates that are trained.
        finalists: of the front, which are trained at length.
        final_epochs: so long.
        storage: Optuna's; None for a file in the folder.
        supernet: as `Setup` has it.
        direct_epochs, cost_weight: of a direct search, with `sampler="direct"`: see `architecture.py`.
        engine: as `cluster.opened` takes it.
        widths: parts of the best network's channels, at which it is to run as well; see `slim.py`.
        measure: whether layers of candidates are measured, not estimated.
        resolutions: as `load_space` takes them.
    """

    space: str
    data: Path
    output: Path
    target: str = "stm32f746"
    limits: Limits = field(default_factory=Limits)
    trials: int = 64
    recipe: Recipe = field(default_factory=Recipe)
    final_epochs: int = 100
    finalists: int = 4
    folds: int | None = None
    sampler: str = "tpe"
    seed: int = 0
    workers: int = 1
    trainer: str | None = None
    storage: str | None = None
    supernet: int = 0
    direct_epochs: int = 40
    cost_weight: float = 1.0
    engine: str | None = None
    widths: tuple[float, ...] = ()
    measure: bool = False
    resolutions: tuple[float, ...] = ()

    @property
    def setup(self) -> Setup:
        """For the workers."""
        paths = str(self.data), str(self.output)
        given = self.space, paths[0], self.folds, self.recipe, self.trainer, self.seed, paths[1], self.supernet
        return Setup(*given, self.resolutions)

    def check(self) -> None:
        """Raises TinycompileError: a number that makes no sense; what is to be read isn't there, or is wrong."""
        for name, least in _LEAST.items():
            value = getattr(self, name, getattr(self.recipe, name, None))
            if value is not None and not least <= value < inf:
                raise UsageError(f"--{name.replace('_', '-')} {value} is out of range", hint=f"{least} or more")
        if self.limits.instructions is not None and self.limits.instructions < 1:
            raise UsageError(f"--instructions {self.limits.instructions} is no limit", hint="500K or 2M")
        check_sampler(self.sampler)
        self.limits.options(self.target).board()
        space = load_space(self.space, self.resolutions)
        if self.widths:
            check_widths_of(self.widths, space)
            if self.trainer is not None:
                raise UsageError("--widths trains networks together", hint="without --trainer")
        Data.read(self.data, self.folds)
        load_trainer(self.trainer)

    @contextmanager
    def begun(self) -> Generator[str]:
        """Make the folder, or see that it is of this search; it is ours alone until the end.

        One in which nothing was trained yet is any search's: there is nothing to go on with.

        Yields:
            The name of its study in a storage, which may have those of other folders.

        Raises:
            UsageError: the folder is of something else, or another process searches in it. Others as `check`.
        """
        self.check()
        self._claim()
        with (self.output / LOCK).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(
                    f"another process searches in {self.output}", hint="wait for its end, or another --output"
                ) from error
            yield self._study()

    def _claim(self) -> None:
        """Make the folder, or see that it has a search or nothing."""
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self.output} can't be a folder: {system_reason(error)}", hint="another --output"
            ) from error
        if not (self.output / SETTINGS).exists() and not self._nothing_trained():
            raise UsageError(f"{self.output} isn't empty and has no search", hint="another --output")

    def _nothing_trained(self) -> bool:
        """Whether the folder has at most what a search writes before it trains."""
        return all(path.name in _BEFORE or _is_half_written(path) for path in self.output.iterdir())

    def _study(self) -> str:
        """The name of the study, which is a new one where this search begins."""
        settings: dict[str, Any] = {
            "space": self.space,
            "space_sha256": _digest(Path(self.space)),
            "data_sha256": _digest(self.data),
            "target": self.target,
            "limits": asdict(self.limits),
            "recipe": asdict(self.recipe),
            "folds": self.folds,
            "sampler": self.sampler,
            "seed": self.seed,
            "supernet": self.supernet,
            "measure": self.measure,
            "trainer_sha256": None if self.trainer is None else _digest(Path(self.trainer)),
        }
        if self.sampler == "direct":
            settings |= {"direct_epochs": self.direct_epochs, "cost_weight": self.cost_weight}
        if self.resolutions:
            settings["resolutions"] = list(self.resolutions)
        file = self.output / SETTINGS
        if file.exists():
            try:
                known: dict[str, Any] = {"measure": False} | json.loads(file.read_text())  # which older ones don't say
            except (ValueError, TypeError) as error:
                raise UsageError("no settings of a search", where=str(file), hint="another --output") from error
            other = _different(known, settings)
            if not other:
                return str(known.get("study", "search"))
            if not self._nothing_trained():
                raise UsageError(
                    f"{self.output} has a search with another {', '.join(other)}",
                    where=str(file),
                    why="its candidates can't be compared with those of this one",
                    hint="another --output, or the options of the search that is there",
                )
        study = f"search-{uuid4().hex}"
        replace_file(file, json.dumps(settings | {"study": study}, indent=1))
        return study


def _different(known: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """What settings are called that are others than those known; of limits and the recipe, which of them."""
    found = list[str]()
    for name, value in sorted(settings.items()):
        before = known.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            found += _different(cast(dict[str, Any], before), cast(dict[str, Any], value))
        elif before != value:
            found.append(name.removesuffix("_sha256").replace("_", " "))
    return found


def _is_half_written(path: Path) -> bool:
    """Of settings, by a process that was killed."""
    return path.name.startswith(f".{SETTINGS}.")


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
