"""What is searched, and the folder in which a search goes on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinycompile.errors import UsageError
from tinycompile.search.prices import Limits
from tinycompile.search.tasks import Setup
from tinycompile.search.trainer import Recipe

SETTINGS = "search.json"
"""What is searched, in the folder of the results: a search goes on only with the same."""


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
        engine: as `cluster.opened` takes it.
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
    engine: str | None = None

    @property
    def setup(self) -> Setup:
        """For the workers."""
        paths = str(self.data), str(self.output)
        return Setup(self.space, paths[0], self.folds, self.recipe, self.trainer, self.seed, paths[1], self.supernet)

    def begin(self) -> None:
        """Make the folder, or see that it is of this search."""
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
            "trainer_sha256": None if self.trainer is None else _digest(Path(self.trainer)),
        }
        file = self.output / SETTINGS
        if file.exists():
            known = json.loads(file.read_text())
            other = sorted(name for name in settings if known.get(name) != settings[name])
            if other:
                raise UsageError(
                    f"{self.output} has a search with another {other[0].removesuffix('_sha256')}",
                    where=str(file),
                    why="its candidates can't be compared with those of this one",
                    hint="another --output, or the options of the search that is there",
                )
            return
        if self.output.exists() and any(self.output.iterdir()):
            raise UsageError(f"{self.output} isn't empty and has no search", hint="another --output")
        self.output.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings, indent=1))


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
