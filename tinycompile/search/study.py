"""Optuna's part: which candidate is next, and the storage from which a search goes on after it was interrupted.

Candidates are asked for in rounds of a fixed size, all of a round before any of it is trained, each with a seed of its
own: what is asked depends on finished rounds alone, whatever the number of workers and however often the search was
interrupted. Candidates that don't fit are told at once and train nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.search.space import Config, Space, Value

SAMPLERS = ("tpe", "random", "direct")
ROUND = 8
"""Candidates that are trained before others are asked for."""
STARTUP = 16
"""Candidates at random before the sampler learns from them."""
AT_RANDOM = 0.1
"""The part of a direct search's candidates whose values are as likely as others, parameter by parameter."""
EXHAUSTED = 200
"""So many choices one after another without a new network that fits: there are no more."""
STUDY = "study.db"
"""The candidates, in the folder of the results."""
ASKED = "asked"
"""The attribute of a trial that was asked for and priced: whether it is a candidate, and which."""
_SEEDS = 2**31


def optuna_module() -> Any:
    """Optuna. Raises UsageError where it isn't installed."""
    try:
        import optuna  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError("the search needs Optuna", hint="pip install 'tinycompile[search]'") from error
    module = cast(Any, optuna)
    module.logging.set_verbosity(module.logging.WARNING)
    return module


def _file_storage(optuna: Any, path: Path) -> Any:
    """SQLite with a log of its own for what is written: safe from killed processes, and without waiting for a disk."""
    from sqlalchemy import event

    storage = optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}")

    def connected(connection: Any, _record: Any) -> None:
        for setting in ("journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {setting}")

    event.listen(storage.engine, "connect", connected)
    storage.engine.dispose()
    return storage


def check_sampler(name: str) -> None:
    """Raises UsageError: there is no such sampler."""
    if name not in SAMPLERS:
        raise UsageError(f"--sampler {name!r} is unknown", hint=f"one of: {', '.join(SAMPLERS)}")


@dataclass(frozen=True)
class Priced:
    """What a choice of values costs.

    Attributes:
        figures: by name, in bytes and instructions; None where it is no network or has no room for its arena.
        excess: by how much the limits are exceeded, as parts of them, for each; none is positive where it fits.
        key: the same for choices that mean the same network. is_none: whether the choice means none.
    """

    figures: dict[str, int] | None
    excess: tuple[float, ...]
    key: str
    is_none: bool = False

    @property
    def fits(self) -> bool:
        """Whether it is within all limits."""
        return self.figures is not None and all(each <= 0 for each in self.excess)


@dataclass(frozen=True)
class Candidate:
    """A network that fits.

    Attributes:
        number: counts those that fit, from 0. trial: Optuna's.
        accuracy: None until it is trained. given_up: whether that is of a training that was ended early.
    """

    number: int
    trial: int
    config: dict[str, Value]
    figures: dict[str, int]
    accuracy: float | None = None
    given_up: bool = False


class Study:
    """The candidates of a search.

    Args:
        storage: as Optuna takes it, or a file.
        price: what a choice costs.
        name: of the study in the storage.
        likely: with the sampler "direct", how likely each parameter's values are; the first candidate has the best.

    Raises:
        UsageError: Optuna isn't installed or can't open the storage; there is no such sampler.
    """

    def __init__(
        self,
        storage: str | Path,
        space: Space,
        sampler: str,
        seed: int,
        price: Callable[[Config], Priced],
        name: str = "search",
        likely: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self._optuna = optuna_module()
        check_sampler(sampler)
        self._space, self._sampler, self._seed, self._price = space, sampler, seed, price
        self._likely = likely or {}
        try:
            kept = _file_storage(self._optuna, storage) if isinstance(storage, Path) else storage
            self._study = self._optuna.create_study(
                study_name=name, storage=kept, directions=["maximize", "minimize"], load_if_exists=True
            )
        except Exception as error:  # of the database, its driver, SQLAlchemy; with no password of the address
            raise UsageError(
                f"the storage can't be opened: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
                where=str(storage) if isinstance(storage, Path) else f"--storage {storage.partition(':')[0]}:...",
                hint="sqlite:///file.db, or postgresql://host/database with the package of its driver",
            ) from error
        self._distributions = {name: self._distribution(values) for name, values in space.parameters.items()}

    def _distribution(self, values: Sequence[Value]) -> Any:
        """Of places in a list of numbers, which are near each other where they are neighbours; of texts themselves."""
        of = self._optuna.distributions
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            return of.IntDistribution(0, len(values) - 1)
        return of.CategoricalDistribution(list(range(len(values))))

    def candidates(self) -> list[Candidate]:
        """All that fit and are no network that was there before, in the order in which they were asked for."""
        return [_candidate(trial) for trial in self._asked() if "number" in trial.user_attrs[ASKED]]

    def _asked(self) -> list[Any]:
        """The trials that were asked for and priced."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if ASKED in trial.user_attrs]

    def round(self, most: int) -> list[Candidate]:
        """The candidates that are to be trained next, `most` at the most; those of an interrupted round first.

        Fewer where the space has no more.
        """
        self._forget_half_asked()
        everything = self.candidates()
        open_ones = [each for each in everything if each.accuracy is None]
        done = len(everything) - len(open_ones)
        if open_ones and done % ROUND:
            return open_ones  # of a round that is being trained
        known = {trial.user_attrs[ASKED]["key"]: trial.number for trial in reversed(self._asked())}
        size, fruitless = min(ROUND - done % ROUND, most - done), 0
        while len(open_ones) < size and fruitless < EXHAUSTED and not (fruitless and self._all_asked()):
            found = self._ask(known, done + len(open_ones))
            fruitless = 0 if found else fruitless + 1
            open_ones += [] if found is None else [found]
        return open_ones

    def _all_asked(self) -> bool:
        """Whether every choice of the space was asked for."""
        asked = self._asked()
        return len(asked) >= self._space.size == len({tuple(sorted(trial.params.items())) for trial in asked})

    def _forget_half_asked(self) -> None:
        """Trials that a killed driver asked for without pricing them."""
        running = self._optuna.trial.TrialState.RUNNING
        for trial in self._study.get_trials(deepcopy=False, states=(running,)):
            if ASKED not in trial.user_attrs:
                self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)

    def _ask(self, known: dict[str, int], number: int) -> Candidate | None:
        """One more choice; None where it doesn't fit or means a network that was there before.

        Args:
            known: trials by `Priced.key`. number: of the candidate, if it is one.
        """
        self._study.sampler = self._make_sampler(len(self._asked()))
        trial = self._study.ask(self._distributions)
        values = self._space.parameters
        config: dict[str, Value] = {name: values[name][place] for name, place in trial.params.items()}
        priced = self._price(config)
        same = known.get(priced.key)
        for limit, excess in enumerate(priced.excess):
            trial.set_constraint(f"limit {limit}", excess)
        facts: dict[str, Any] = {"key": priced.key}
        if priced.fits and same is None:
            facts |= {"number": number, "config": config, "figures": priced.figures}
        trial.set_user_attr(ASKED, facts)  # the last: what has it is complete
        known.setdefault(priced.key, trial.number)
        if priced.figures is None or not priced.fits:
            instructions = _SEEDS if priced.figures is None else priced.figures["instructions"]
            self._study.tell(trial, [0.0, float(instructions)])
        elif same is not None:
            values = self._study.get_trials(deepcopy=False)[same].values
            self._study.tell(trial, values, state=None if values else self._optuna.trial.TrialState.FAIL)
        else:
            return Candidate(number, trial.number, config, priced.figures)
        return None

    def _make_sampler(self, index: int) -> Any:
        digest = hashlib.sha256(f"{self._seed} {index}".encode()).digest()
        seed = int.from_bytes(digest[:4], "little") % _SEEDS
        samplers = self._optuna.samplers
        if self._sampler == "random":
            return samplers.RandomSampler(seed=seed)
        if self._sampler == "direct":
            return _drawing(self._optuna, self._likely, None if index == 0 else np.random.default_rng(seed))
        return samplers.TPESampler(
            seed=seed,
            multivariate=True,
            n_startup_trials=STARTUP,
            constant_liar=True,
        )

    def tell(self, candidate: Candidate, accuracy: float) -> None:
        """What a candidate reached."""
        self._study.sampler = self._make_sampler(candidate.trial)
        self._study.tell(candidate.trial, [accuracy, float(candidate.figures["instructions"])])


def _drawing(optuna: Any, likely: Mapping[str, Sequence[float]], random: np.random.Generator | None) -> Any:
    """A sampler that draws places of values by how likely they are; the likeliest without a generator."""

    def drawn(name: str) -> int:
        chances = np.array(likely[name])
        if random is None:
            return int(chances.argmax())
        mixed = (1 - AT_RANDOM) * chances + AT_RANDOM / len(chances)
        return int(random.choice(len(mixed), p=mixed / mixed.sum()))

    class Drawing(optuna.samplers.BaseSampler):
        def infer_relative_search_space(self, *_: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, *_: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, _study: Any, _trial: Any, name: str, _distribution: Any) -> int:
            return drawn(name)

    return Drawing()


def _candidate(trial: Any) -> Candidate:
    attributes = trial.user_attrs[ASKED]
    return Candidate(
        attributes["number"],
        trial.number,
        attributes["config"],
        attributes["figures"],
        None if trial.values is None else trial.values[0],
    )


def front_of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other beats in accuracy and instructions, the most accurate first."""

    def best_first() -> Iterator[Candidate]:
        least: int | None = None
        done = [each for each in candidates if each.accuracy is not None and not each.given_up]
        for each in sorted(done, key=lambda c: (-(c.accuracy or 0), c.figures["instructions"], c.number)):
            if least is None or each.figures["instructions"] < least:
                least = each.figures["instructions"]
                yield each

    return list(best_first())
