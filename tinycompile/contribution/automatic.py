"""`build --train auto --data train.npz --ram 160K`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tinycompile.contribution.analysis import Analysis, Candidate, Samples, candidates_of, trainable_part
from tinycompile.contribution.choice import best
from tinycompile.errors import DoesNotFitError, SamplesError, UsageError
from tinycompile.ir import Array, Graph
from tinycompile.lowering import imported, place
from tinycompile.options import Options
from tinycompile.passes import optimize
from tinycompile.passes.channel_facts import Scheme
from tinycompile.passes.own_states import own_states
from tinycompile.plans import Plans
from tinycompile.progress import step as progress
from tinycompile.samples import LABELS, check_counts, class_labels, load_arrays, real_inputs, with_labels
from tinycompile.training.learnable import Learnable
from tinycompile.training.new_classes import with_classes
from tinycompile.training.scheme import layers_of, read_scheme
from tinycompile.training.step import training_step

FEWEST = 8
"""Samples."""

TRIES, LESS = 24, 0.85
"""How often less RAM is granted to the choice, and how much less, where the planner says that it doesn't fit."""


@dataclass(frozen=True)
class Automatic:
    """Attributes:
    scheme: text for `--train`. candidates: all that were measured. chosen: of these. before: the accuracy in %.
    steps: of each short training. arena: bytes. states: bytes, beside it.
    """

    scheme: str
    candidates: Sequence[Candidate]
    chosen: Sequence[Candidate]
    before: float
    steps: int
    arena: int
    states: int

    def applied(self, options: Options) -> Options:
        """With this scheme, and for the arena what the states leave of `--ram`."""
        left = None if options.ram is None else options.ram - self.states
        return replace(options, train=self.scheme, train_data=None, ram=left)

    def lines(self) -> list[str]:
        """A table, with the best of what wasn't chosen of each layer."""
        title = "trained alone"
        width = max(len(title), *(len(each.part) for each in self.candidates))
        head = f"{title:<{width}}   accuracy     bytes"
        rows = [
            f"{each.part:<{width}}  {each.gain:+7.1f} %  {each.bytes:>8,}{'  chosen' if each in self.chosen else ''}"
            for each in self.candidates
        ]
        ram = f"{self.arena:,} bytes of arena and {self.states:,} of states"
        end = f"--train {self.scheme!r}: {ram}; {self.before:.1f} % before, {self.steps} steps each"
        return [head, *rows, end]


def automatic(source: Path, options: Options) -> Automatic:
    """What to train of a model file within `--ram`, by what each layer adds to the accuracy on `--data`.

    Raises:
        UsageError: there is no data, no limit, or nothing helps. DoesNotFitError: nothing that helps fits.
    """
    if options.train_data is None or options.ram is None:
        what = "--data" if options.train_data is None else "--ram"
        raise UsageError(f"--train auto needs {what}", hint="--train auto --data train.npz --ram 160K")
    if options.loss != "cross_entropy":
        raise UsageError("--train auto is for classes", hint="--loss cross_entropy, or another --train")
    graph = optimize(imported(source, options), ())
    graph = graph if options.classes is None else with_classes(graph, options.classes)
    step, scheme = trainable_part(graph, options.learning_rate)
    samples = Samples.of(*_data(graph, options.train_data, step.classes or 0))
    candidates = candidates_of(graph, scheme)
    analysis = Analysis(step, samples, candidates)
    measured = list[Candidate]()
    for number, each in enumerate(candidates):
        progress(f"what {each.part} contributes ({number + 1} of {len(candidates)})")
        measured.append(replace(each, gain=analysis.measured(each)))
    if not any(each.gain > 0 for each in measured):
        raise UsageError("--train auto: no layer alone makes the model better", where=str(options.train_data))
    chosen, arena, states = _fitting(graph, measured, scheme, options, options.ram)
    text = ", ".join(each.part for each in chosen)
    return Automatic(text, measured, chosen, analysis.before, analysis.steps, arena, states)


def _fitting(
    graph: Graph, measured: Sequence[Candidate], scheme: Scheme, options: Options, ram: int
) -> tuple[list[Candidate], int, int]:
    """(the best choice that the planner finds room for, bytes of its arena, of its states)."""
    depths, limit, before = depths_of(graph, scheme), float(ram), list[Candidate]()
    for _ in range(TRIES):
        chosen = best(measured, depths, int(limit))
        if chosen and chosen != before:
            with suppress(DoesNotFitError):
                return chosen, *_bytes(graph, ", ".join(each.part for each in chosen), options, ram)
        before, limit = chosen, limit * LESS
    raise DoesNotFitError(f"no layer can be trained within {ram:,} bytes", where=graph.name, hint="a larger --ram")


def _bytes(graph: Graph, text: str, options: Options, ram: int) -> tuple[int, int]:
    """(of the arena, of the states). Raises DoesNotFitError: more than so many."""
    learnable = Learnable.of(graph, read_scheme(text, graph))
    own = own_states(training_step(learnable.graph, learnable.scheme, rate=options.learning_rate).graph)
    states = Plans(own, options.board(), options).state_bytes
    if states >= ram:
        raise DoesNotFitError(f"states take {states:,} bytes", where=graph.name)
    within = replace(options, ram=ram - states)
    (planned,), _ = place([Plans(own, within.board(), within)], within.board(), within)
    return planned.arena_bytes, states


def depths_of(graph: Graph, scheme: Scheme) -> dict[str, int]:
    """By layer, in the order of execution: masks of it and those behind it, and the largest pair of gradients."""
    found, masks, peak = dict[str, int](), 0, 0
    for node in reversed(graph.nodes):
        x, y = graph.types[node.inputs[0]], graph.types[node.outputs[0]]
        if node.name in scheme:
            masks += -(-y.elements // 8)
            found[node.name] = masks + max(peak, 2 * y.elements)
        peak = max(peak, 2 * (x.elements + y.elements))
    return {node.name: found[node.name] for node in layers_of(graph) if node.name in found}


def _data(graph: Graph, path: Path, classes: int) -> tuple[Array, Array]:
    """(inputs as the model takes them, labels)."""
    where = str(path)
    arrays, label = with_labels(load_arrays(path), graph.inputs)
    if label is None:
        held = ", ".join(arrays)
        raise SamplesError("labels are missing", where=where, why=f"the file holds: {held}", hint=" or ".join(LABELS))
    types = [graph.types[name] for name in graph.inputs]
    if len(types) != 1:
        raise UsageError("--train auto is for models with one input", where=graph.name, why=f"it has {len(types)}")
    inputs = real_inputs(arrays, types, where=where, names=graph.inputs)[0]
    labels = class_labels(arrays[label], label, classes, where)
    check_counts([*inputs, labels], ["the input", label], where)
    if len(labels) < FEWEST:
        raise SamplesError(f"{len(labels)} samples are too few to learn from and to measure with", where=where)
    return inputs[0], labels
