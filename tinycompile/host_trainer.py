"""Training steps of a graph on this machine, by generated C: the bits of `Trainer`, hundreds of times as fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinycompile.codegen.emit import emit_project
from tinycompile.codegen.program import Program, build_program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.host import HostModel
from tinycompile.ir import Array, TensorType
from tinycompile.layout import choose_ram
from tinycompile.numerics.block_floating import factor
from tinycompile.numerics.training_losses import LOSS_BITS
from tinycompile.options import Options
from tinycompile.passes.own_states import own_states
from tinycompile.planner import Planned
from tinycompile.plans import Plans
from tinycompile.staging import write_files
from tinycompile.targets import load_board
from tinycompile.temporary import TemporaryFolder
from tinycompile.training.federated import GradientExport
from tinycompile.training.step import TrainingStep

BOARD = "stm32h743"
"""Whose kernels are taken: portable C, as for any core; it has much memory."""


class HostTrainer:
    """A model that learns, sample by sample, as `Trainer`.

    Attributes:
        program: what was generated. host: it, compiled.
    """

    def __init__(
        self,
        step: TrainingStep,
        cflags: Sequence[str] = ("-O2",),
        folder: Path | None = None,
        scratch: int | None = None,
        known: Planned | None = None,
        export: GradientExport | None = None,
    ) -> None:
        """Compiles it.

        Args:
            folder: where the generated files stay; None for nowhere.
            scratch: bytes of it that each layer may have. known: the plan, where it isn't to be by layers.
            export: how what is learned becomes messages, if it does.

        Raises:
            DoesNotFitError: too large for the largest microcontroller.
            ToolMissingError, ToolFailedError: no C compiler, or it refused the code.
        """
        self._label = step.graph.types[step.label]
        inputs, outputs = (
            [step.graph.types[name] for name in names] for names in (step.graph.inputs, step.graph.outputs)
        )
        with TemporaryFolder("trainer") as temporary:
            place = Path(temporary) if folder is None else folder
            self.program = _emitted(step, place, scratch, known, export)
            arena = self.program.arena_bytes
            streamed = self.program.streamed_input is not None
            self.host = HostModel(place, "m", inputs, outputs, arena, cflags, streamed, label=self._label)
        self._places: dict[str, tuple[int, TensorType]] = {
            state.tensor.name: (state.tensor.offset, state.tensor.type) for state in self.program.states
        }

    def set_learning_rate(self, rate: float) -> None:
        """Of all steps to come; above 0."""
        self.host.set_learning_rate(*factor(rate))

    def reset(self) -> None:
        """Everything as it was in the beginning, the learning rate too."""
        self.host.reset()

    def train(self, label: int | Array, *inputs: Array) -> float:
        """One step; the loss before it."""
        given = label if isinstance(label, int) else np.broadcast_to(label, self._label.shape)
        return self.host.train(given, inputs) / (1 << LOSS_BITS)

    def predict(self, *inputs: Array) -> list[Array]:
        """The model's outputs with the present parameters."""
        return self.host.run(inputs)

    @property
    def states(self) -> dict[str, Array]:
        """By name; the trained parameters among them."""
        return {name: self.host.state(offset, t) for name, (offset, t) in self._places.items()}

    def state(self, name: str) -> Array:
        """One of them."""
        return self.host.state(*self._places[name])

    def set_state(self, name: str, values: Array) -> None:
        """Of the state's shape and type."""
        self.host.set_state(*self._places[name], values)


def _emitted(
    step: TrainingStep, folder: Path, scratch: int | None, known: Planned | None, export: GradientExport | None
) -> Program:
    board, options = load_board(BOARD), Options()
    plans = Plans(own_states(step.graph), board, options)
    (planned,), layout = choose_ram(
        board,
        lambda schedule, ram, _: [known or plans.within(schedule, ram, scratch)],
        options.ram,
        state_bytes=plans.state_bytes,
    )
    program = replace(build_program("m", planned), gradient=export)
    origin = Provenance(step.graph.name, "0" * 64)
    write_files(folder, emit_project(Project(board, layout, (program,), (origin,))))
    return program
