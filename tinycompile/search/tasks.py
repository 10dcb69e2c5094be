"""Trainings as tasks, of candidates, supernets and choices: what a worker is told, and the file that it leaves.

The file is written before anybody is told, so that neither a killed worker nor a killed driver loses what is finished.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from tinycompile.errors import TinycompileError, UsageError
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.report.document import replace_file
from tinycompile.search.architecture import Choice, train_architecture
from tinycompile.search.cost_table import CostTable
from tinycompile.search.data import Data, Part
from tinycompile.search.pricing import BEST
from tinycompile.search.quantized import quantized
from tinycompile.search.space import Config, Space, Value, load_space
from tinycompile.search.supernet import train_supernet, with_inherited
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
        supernet: epochs of a network of which candidates inherit weights; 0 for none.
        resolutions: as `load_space` takes them.
    """

    space: str
    data: str
    folds: int | None
    recipe: Recipe
    trainer: str | None
    seed: int
    folder: str
    supernet: int = 0
    resolutions: tuple[float, ...] = ()


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


@dataclass(frozen=True)
class Shared:
    """A supernet to be trained.

    Attributes:
        number: negative, as candidates' are not. fold: None for all known samples.
        population: choices that fit the board.
    """

    fold: int | None
    population: tuple[Mapping[str, Value], ...]

    @property
    def number(self) -> int:
        return -1 if self.fold is None else -2 - self.fold

    @property
    def config(self) -> Mapping[str, Value]:
        """Nothing is chosen."""
        return {}

    @staticmethod
    def path(folder: str | Path, fold: int | None) -> Path:
        """Where its weights are."""
        return Path(folder) / "supernet" / f"{'all' if fold is None else fold}.npz"


@dataclass(frozen=True)
class Final:
    """One of the best to be trained at length in a fold.

    Attributes:
        number, config: of the candidate.
    """

    number: int
    config: Mapping[str, Value]
    fold: int
    epochs: int

    def path(self, folder: str | Path) -> Path:
        """Where it is said what it reached."""
        return Path(folder) / "finalists" / f"{self.number:05}.{self.fold}.{self.epochs}.json"

    def model(self, folder: str | Path) -> Path:
        """Where its int8 model is, called as the search's best."""
        return self.path(folder).with_suffix("") / f"{BEST}.onnx"

    def reached(self, folder: str | Path) -> tuple[float, float] | None:
        """The accuracy of its floats and of int8; None where it hasn't been trained."""
        path = self.path(folder)
        if not path.exists() or not self.model(folder).exists():  # which older searches didn't keep
            return None
        floats, int8 = json.loads(path.read_text())
        return floats, int8


@dataclass(frozen=True, eq=False)
class Direct:
    """A direct search for how likely each value is.

    Attributes:
        population: choices that fit the board.
        epochs: of the weights and the choice. limit, importance: as `train_architecture` takes them.
    """

    population: tuple[Mapping[str, Value], ...]
    table: CostTable
    epochs: int
    limit: int | None
    importance: float

    number = -1
    config: Mapping[str, Value] = field(default_factory=dict[str, Value])

    @staticmethod
    def path(folder: str | Path) -> Path:
        """Where the choice is."""
        return Path(folder) / "choice.json"

    @staticmethod
    def read(folder: str | Path) -> Choice | None:
        """None where there is none."""
        path = Direct.path(folder)
        return Choice(**json.loads(path.read_text())) if path.exists() else None


AnyTask = Task | Shared | Final | Direct
Done = Result | Shared | Final | Direct
"""A task's result; that of supernets and finalists is in their files."""

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
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"importing the trainer fails: {type(error).__name__}: {error}", where=file) from error
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
    _shared: dict[int | None, dict[str, Array]] = field(default_factory=dict[int | None, dict[str, Array]])

    @staticmethod
    def of(setup: Setup) -> Bench:
        data = Data.read(Path(setup.data), setup.folds)
        return Bench(setup, load_space(setup.space, setup.resolutions), data, load_trainer(setup.trainer))

    def model(self, config: Config, fold: int | None) -> Any:
        """A candidate before its own training, with what a supernet of the fold learned; None for all known samples."""
        proto = self.space.network(config, self.data.shape, self.data.classes)
        if not self.setup.supernet:
            return proto
        if fold not in self._shared:
            with np.load(Shared.path(self.setup.folder, fold), allow_pickle=False) as file:
                self._shared[fold] = {key: file[key] for key in file.files}
        return with_inherited(proto, self._shared[fold], self._part(fold))

    def _part(self, fold: int | None) -> Part:
        return self.data.known if fold is None else self.data.folds[fold][0]

    def trained(self, config: Config, fold: int | None, judged: Part, recipe: Recipe, **how: Any) -> tuple[Any, float]:
        """A candidate as the trainer trains it, and its accuracy on the judged samples.

        Args:
            fold: as `model` takes it. how: `seed`, and `stop` and `every` as the trainer takes them.

        Raises:
            UsageError: the trainer fails, or returns something else.
        """
        model, where = self.model(config, fold), self.space.place(config)
        part = self._part(fold)
        if self.setup.trainer is not None:  # ours moves samples before it averages them
            part, judged = part.seen_by(model), judged.seen_by(model)
        arguments = part, judged, recipe, how["seed"], how.get("stop"), how.get("every", 0)
        try:
            found: Any = self.trainer(model, *arguments)
        except TinycompileError:
            raise
        except (Exception, SystemExit) as error:  # a user's, or of a user's module
            raise UsageError(f"its training fails: {type(error).__name__}: {error}", where=where) from error
        try:
            trained, accuracy = found[0], float(found[1])
        except (TypeError, ValueError, IndexError, KeyError):
            trained, accuracy = None, -1.0
        if not 0 <= accuracy <= 1:
            raise UsageError(
                f"the trainer returns {type(found).__name__ if trained is None else found[1]}",
                where=where,
                hint="the trained model and its accuracy on the judged samples, from 0 to 1",
            )
        return trained, accuracy

    def run(self, task: AnyTask) -> Done:
        """Do what a task says, and save what came of it."""
        match task:
            case Task():
                return self._candidate(task)
            case Shared():
                return self._supernet(task)
            case Final():
                return self._final(task)
            case Direct():
                return self._direct(task)

    def _direct(self, task: Direct) -> Direct:
        found = train_architecture(
            self.space,
            task.population,
            task.table,
            self.data.folds[0],
            self.data.classes,
            replace(self.setup.recipe, epochs=task.epochs),
            self.setup.seed,
            limit=task.limit,
            importance=task.importance,
        )
        replace_file(task.path(self.setup.folder), json.dumps(asdict(found)))
        return task

    def _final(self, task: Final) -> Final:
        part, judged = self.data.folds[task.fold]
        recipe, seed = replace(self.setup.recipe, epochs=task.epochs), self.setup.seed + task.fold
        trained, floats = self.trained(task.config, task.fold, judged, recipe, seed=seed)
        path = task.path(self.setup.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        model, int8 = quantized(trained, part, judged, temporary)
        task.model(self.setup.folder).parent.mkdir(exist_ok=True)
        onnx_module().save(model, str(temporary))
        temporary.replace(task.model(self.setup.folder))
        temporary.write_text(json.dumps([floats, int8]))
        temporary.replace(path)  # the last: what has it is complete
        return task

    def _supernet(self, task: Shared) -> Shared:
        recipe = replace(self.setup.recipe, epochs=self.setup.supernet)
        part, seed = self._part(task.fold), self.setup.seed - task.number
        found = train_supernet(self.space, task.population, part, self.data.classes, recipe, seed)
        path = Shared.path(self.setup.folder, task.fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(temporary, **cast(Any, found))
        temporary.replace(path)
        return task

    def _candidate(self, task: Task) -> Result:
        recipe, reached, given_up = self.setup.recipe, list[float](), False
        least = task.bar - MARGIN

        def behind(_epoch: int, accuracy: float) -> bool:
            nonlocal given_up
            given_up = given_up or accuracy < least - MARGIN
            return given_up

        for fold, (_, judged) in enumerate(self.data.folds):
            seed = self.setup.seed + _SEED_STEP * (1 + task.number) + fold
            half = max(1, recipe.epochs // 2)
            _, accuracy = self.trained(task.config, fold, judged, recipe, seed=seed, stop=behind, every=half)
            reached.append(accuracy)
            given_up = given_up or sum(reached) / len(reached) < least
            if given_up:
                break
        found = Result(task.number, dict(task.config), sum(reached) / len(reached), tuple(reached), given_up)
        found.save(self.setup.folder)
        return found
