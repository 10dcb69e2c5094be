"""A search: rounds of candidates, the front of those that were trained, and the best one's firmware."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tinycompile.measuring import Measuring
from tinycompile.progress import step
from tinycompile.search.architecture import Choice
from tinycompile.search.cluster import Cluster, opened
from tinycompile.search.cost_table import CostTable, cost_table
from tinycompile.search.data import Data
from tinycompile.search.finish import Finished, finished
from tinycompile.search.page import save_page
from tinycompile.search.pool import Pool
from tinycompile.search.prices import Prices
from tinycompile.search.settings import Search
from tinycompile.search.slim import Slimmed, slimmed
from tinycompile.search.space import load_space
from tinycompile.search.study import ROUND, STUDY, Candidate, Study, front_of
from tinycompile.search.tasks import Direct, Result, Shared, Task

POPULATION = 128
"""Networks that fit, among which those are drawn that a supernet trains."""
TABLE = "cost_table.json"
"""In the folder of a direct search."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a search found.

    Attributes:
        candidates: all that were trained. front: those that no other beats, the most accurate first.
        best: what was built.
        slimmed: the best network at several widths, if they were asked for.
    """

    candidates: list[Candidate]
    front: list[Candidate]
    best: Finished
    slimmed: Slimmed | None = None

    def save(self, folder: Path) -> None:
        """As JSON."""
        firmware = self.best.firmware
        facts = {
            "front": [{**asdict(each), "firmware": firmware.get(each.number)} for each in self.front],
            "best": self.best.as_dict(),
            "widths": None if self.slimmed is None else self.slimmed.as_dict(),
            "candidates": [asdict(each) for each in self.candidates],
        }
        (folder / "front.json").write_text(json.dumps(facts, indent=1))


def run(search: Search, progress: Callable[[str], None] = step) -> Outcome:
    """Search, or go on with a search; then train and build the best.

    Args:
        progress: told what was found, a line at a time.

    Raises:
        TinycompileError.
    """
    begun = time.monotonic()
    with search.begun() as study, opened(search.engine, search.setup, search.workers) as pool:
        data = Data.read(search.data, search.folds)
        progress(data.line())
        candidates = _searched(search, study, data, pool, progress)
        front = front_of(candidates)
        progress(f"{len(candidates)} candidates in {time.monotonic() - begun:,.0f} s; {len(front)} on the front")
        best = finished(front[: search.finalists], search, pool, progress)
        outcome = Outcome(candidates, front, best)
        outcome.save(search.output)
        save_page(search, candidates, best)
        if search.widths:
            progress(f"training the best network at {len(search.widths) + 1} widths together ...")
            outcome = replace(outcome, slimmed=_slimmed(search, data, best))
            outcome.save(search.output)
            save_page(search, candidates, best, outcome.slimmed)
    return outcome


def _slimmed(search: Search, data: Data, best: Finished) -> Slimmed:
    recipe, space = replace(search.recipe, epochs=search.final_epochs), load_space(search.space, search.resolutions)
    how = search.widths, data, recipe, search.target, search.limits, search.output / "widths", search.seed
    return slimmed(space, best.finalist.candidate.config, *how)


def searched(search: Search, progress: Callable[[str], None] = step) -> list[Candidate]:
    """All candidates of a search, trained; arguments and errors as of `run`."""
    with search.begun() as study, opened(search.engine, search.setup, search.workers) as pool:
        return _searched(search, study, Data.read(search.data, search.folds), pool, progress)


def _searched(
    search: Search, name: str, data: Data, pool: Pool | Cluster, progress: Callable[[str], None]
) -> list[Candidate]:
    space = load_space(search.space, search.resolutions)
    measure: Measuring = "whole" if search.measure else "none"
    prices = Prices(space, data.shape, data.classes, search.target, search.limits, measure, progress)
    unmeasured = prices.unmeasured()
    likely = _chosen(search, unmeasured, pool, progress).probabilities if search.sampler == "direct" else None
    storage = search.storage or search.output / STUDY
    study = Study(storage, space, search.sampler, search.seed, prices, name, likely)
    _share(search, data, unmeasured, pool, progress)
    while found := study.round(search.trials):
        _train(search, study, found, pool, progress)
        save_page(search, _candidates(search, study), None)
    found = _candidates(search, study)
    if not found:
        raise prices.nothing_fits()
    return found


def _share(search: Search, data: Data, prices: Prices, pool: Pool | Cluster, progress: Callable[[str], None]) -> None:
    """Train the supernets: one for each fold, which never sees what candidates are judged on, and one for the end."""
    folds = (*range(len(data.folds)), None) if search.supernet else ()
    missing = [fold for fold in folds if not Shared.path(search.output, fold).exists()]
    population = tuple(prices.population(POPULATION, search.seed)) if missing else ()
    if missing and not population:
        raise prices.nothing_fits()
    if missing:
        progress(f"training {len(missing)} supernets for {len(population)} networks that fit ...")
    for _ in pool.run([Shared(fold, population) for fold in missing]):
        pass


def _chosen(search: Search, prices: Prices, pool: Pool | Cluster, progress: Callable[[str], None]) -> Choice:
    """What a direct search says; its cost table is kept in the folder."""
    choice = Direct.read(search.output)
    if choice is None:
        space, limits = prices.space, search.limits
        path = search.output / TABLE
        if not path.exists():
            progress("pricing the blocks of the space ...")
            cost_table(space, prices.shape, prices.classes, search.target, limits, search.seed).save(path)
        population = tuple(prices.population(POPULATION, search.seed))
        if not population:
            raise prices.nothing_fits()
        progress(f"training the choice for {search.direct_epochs} epochs ...")
        how = search.direct_epochs, limits.instructions, search.cost_weight
        for _ in pool.run([Direct(population, CostTable.read(path), *how)]):
            pass
        choice = Direct.read(search.output)
    if choice is None:
        raise AssertionError("a direct search leaves its choice")
    best = " ".join(f"{name}={value}" for name, value in choice.best(prices.space).items())
    progress(f"the likeliest: {best}; expected {choice.expected:,.0f} instructions")
    return choice


def _train(
    search: Search, study: Study, found: Sequence[Candidate], pool: Pool | Cluster, progress: Callable[[str], None]
) -> None:
    """Train a round; what an interrupted search had finished is read."""
    done = [each for each in _candidates(search, study) if each.accuracy is not None]
    by_number = {each.number: each for each in found}
    results = {each.number: Result.read(search.output, each.number) for each in found}
    for number, result in results.items():
        if result is not None:
            study.tell(by_number[number], result.accuracy)
    tasks = [Task(each.number, each.config, _bar(each, done)) for each in found if results[each.number] is None]
    for result in pool.run(tasks):
        if not isinstance(result, Result):
            raise AssertionError("a candidate's task has a result")
        candidate = by_number[result.number]
        study.tell(candidate, result.accuracy)
        count = sum(each.accuracy is not None for each in study.candidates())
        best = max(each.accuracy or 0 for each in study.candidates())
        progress(
            f"{count}/{search.trials}: {'given up at ' if result.given_up else ''}{result.accuracy:.2%} with "
            f"{candidate.figures['instructions']:,} instructions; best {best:.2%}"
        )


def _candidates(search: Search, study: Study) -> list[Candidate]:
    """All, with what their results say."""
    found = list[Candidate]()
    for each in study.candidates():
        result = Result.read(search.output, each.number) if each.accuracy is not None else None
        found.append(each if result is None else replace(each, given_up=result.given_up))
    return found


def front_lines(front: Sequence[Candidate], firmware: Mapping[int, Mapping[str, int]]) -> list[str]:
    """For people: a table.

    Args:
        firmware: what that of finalists takes, by number.
    """
    lines = [f"{'accuracy':>9} {'instructions':>13} {'RAM':>8} {'flash':>8}  configuration"]
    for each in front:
        figures = firmware.get(each.number, each.figures)
        config = " ".join(f"{name}={value}" for name, value in each.config.items())
        lines.append(
            f"{each.accuracy:9.2%} {figures['instructions']:13,} {figures['ram_bytes']:8,} "
            f"{figures['flash_bytes']:8,}  {config}{', as built' if each.number in firmware else ''}"
        )
    return lines


def _bar(candidate: Candidate, done: Sequence[Candidate]) -> float:
    """The best accuracy of what is no slower, of earlier rounds: what its own had reached before an interruption is as
    unknown as it was.
    """
    most, first = candidate.figures["instructions"], candidate.number - candidate.number % ROUND
    known = (each for each in done if each.number < first and each.figures["instructions"] <= most)
    return max((each.accuracy or 0 for each in known), default=0.0)
