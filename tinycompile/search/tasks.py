"""A candidate's training as a task: what a worker is told, and the file that it leaves.

The file is written before anybody is told, so that neither a killed worker nor a killed driver loses what is finished.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from tinycompile.errors import UsageError
from tinycompile.search.data import Data
from tinycompile.search.space import Config, Space, Value, load_space
from tinycompile.search.torch_network import torch_module
from tinycompile.search.trainer import Recipe, train

MARGIN = 0.03
"""A network is given up where it is so far behind one that is no slower."""
_SEED_STEP = 7919
"""Between the seeds of candidates: a prime number, so that no two folds of two candidates have the same."""


@dataclass(frozen=True)
class Setup:
    """What all tasks of a search share.

    Attributes:
        space, trainer: as the user named them; None for our own trainer.
        data: the `.npz`. folds: as `Data.read`.
        folder: for the results.
    """

    space: str
    data: str
    folds: int | None
    recipe: Recipe
    trainer: str | None
    seed: int
    folder: str


@dataclass(frozen=True)
class Task:
    """A candidate to be trained.

    Attributes:
        number: of the candidate, by which its seed is chosen.
        bar: the best accuracy of an earlier one that is no slower; 0 where there is none.
    """

    number: int
    config: Mapping[str, Value]
    bar: float


@dataclass(frozen=True)
class Result:
    """What a candidate reached.

    Attributes:
        accuracy: the mean of its folds. folds: of each that was trained.
        given_up: whether it was too far behind to be trained to the end.
    """

    number: int
    config: Mapping[str, Value]
    accuracy: float
    folds: tuple[float, ...]
    given_up: bool

    @staticmethod
    def path(folder: str | Path, number: int) -> Path:
        """Where a candidate's result is."""
        return Path(folder) / "trials" / f"{number:05}.json"

    @staticmethod
    def read(folder: str | Path, number: int) -> Result | None:
        """None where there is none."""
        try:
            found: dict[str, Any] = json.loads(Result.path(folder, number).read_text())
        except FileNotFoundError:
            return None
        folds = tuple(found["folds"])
        return Result(found["number"], found["config"], found["accuracy"], folds, found["given_up"])

    def save(self, folder: str | Path) -> None:
        """As a whole or not at all."""
        path = Result.path(folder, self.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(asdict(self)))
        temporary.replace(path)


Trainer = Callable[..., tuple[Any, float]]
"""As `trainer.train`: (model, samples, judged samples, recipe, seed, stop, every) to (trained model, accuracy)."""


def load_trainer(file: str | None) -> Trainer:
    """Our own trainer, or a file's `train`.

    Raises:
        UsageError: the file has none.
    """
    if file is None:
        torch_module().set_num_threads(1)
        return train
    path = Path(file)
    spec = importlib.util.spec_from_file_location(f"trainer_{path.stem}", path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise UsageError(f"no trainer {file!r}", hint="a Python file with a function train")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, "train", None)
    if not callable(found):
        raise UsageError(
            "the trainer lacks train", where=file, hint="def train(model, samples, judged, recipe, seed, stop, every)"
        )
    return cast(Trainer, found)


@dataclass(frozen=True, eq=False)
class Bench:
    """What a worker has ready."""

    setup: Setup
    space: Space
    data: Data
    trainer: Trainer

    @staticmethod
    def of(setup: Setup) -> Bench:
        data = Data.read(Path(setup.data), setup.folds)
        return Bench(setup, load_space(setup.space), data, load_trainer(setup.trainer))

    def model(self, config: Config) -> Any:
        """The candidate without training."""
        return self.space.network(config, self.data.shape, self.data.classes)

    def run(self, task: Task) -> Result:
        """Train a candidate in each fold, and save what it reached."""
        recipe, reached, given_up = self.setup.recipe, list[float](), False
        least = task.bar - MARGIN

        def behind(_epoch: int, accuracy: float) -> bool:
            nonlocal given_up
            given_up = given_up or accuracy < least - MARGIN
            return given_up

        for fold, (part, judged) in enumerate(self.data.folds):
            seed = self.setup.seed + _SEED_STEP * (1 + task.number) + fold
            half = max(1, recipe.epochs // 2)
            _, accuracy = self.trainer(self.model(task.config), part, judged, recipe, seed, behind, half)
            reached.append(accuracy)
            given_up = given_up or sum(reached) / len(reached) < least
            if given_up:
                break
        found = Result(task.number, dict(task.config), sum(reached) / len(reached), tuple(reached), given_up)
        found.save(self.setup.folder)
        return found
