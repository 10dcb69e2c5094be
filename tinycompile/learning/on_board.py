"""A model that learns on a board, by the commands of `device.py` over a serial port."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.build import Build
from tinycompile.learning.device import Answer, Command, Kind, check_learns
from tinycompile.serial_link.console import Action, Area, Console, Event, bytes_of

_NO_CHECKPOINT = 11
"""`<MODEL>_ERROR_CHECKPOINT`: there is none, and the model has begun anew."""

_ACTIONS = {
    Kind.PREDICT: Action.PREDICT,
    Kind.TRAIN: Action.TRAIN,
    Kind.ACCUMULATE: Action.ACCUMULATE,
    Kind.APPLY: Action.APPLY,
    Kind.LEARNING_RATE: Action.RATE,
    Kind.RESET: Action.RESET,
    Kind.LOAD: Action.LOAD,
    Kind.SAVE: Action.SAVE,
}


class OnBoard:
    """The console firmware of a build, whose checkpoints are kept here."""

    def __init__(self, build: Build, console: Console) -> None:
        """Raises:
        UsageError: the model doesn't learn.
        """
        check_learns(build)
        self._build, self._console = build, console
        self.slots = bytearray(), bytearray()
        console.on_slot = self._slot

    @property
    def name(self) -> str:
        return self._console.name

    def execute(self, commands: Sequence[Command]) -> list[Answer]:
        """Raises:
        DeviceError: the board doesn't answer, or the model refuses a command.
        """
        return [self._executed(command) for command in commands]

    def _executed(self, command: Command) -> Answer:
        console = self._console
        if command.kind == Kind.STATES:
            return Answer(states=console.read(Area.STATES, self._build.report["ram"]["state_bytes"]))
        if command.label is not None and self._build.label is not None:
            console.write(Area.LABEL, bytes_of(command.label, self._build.label))
        rows = console.give(command.inputs) if command.inputs else b""
        action, allowed = _ACTIONS[command.kind], (_NO_CHECKPOINT,) if command.kind == Kind.LOAD else ()
        happened = console.do(action, *command.rate, rows=rows, allowed=allowed)
        match command.kind:
            case Kind.PREDICT:
                return Answer(outputs=console.outputs(), instructions=happened.ticks)
            case Kind.TRAIN | Kind.ACCUMULATE:
                loss = happened.value - (1 << 32) if happened.value >> 31 else happened.value
                return Answer(loss=loss, instructions=happened.ticks)
            case Kind.LOAD | Kind.SAVE:
                return Answer(number=happened.value)
            case _:
                return Answer()

    def _slot(self, event: Event, slot: int, offset: int, data: bytes | int) -> bytes:
        """Reads a block, of zeros where nothing was written, or writes one."""
        memory = self.slots[slot]
        size = data if isinstance(data, int) else len(data)
        memory.extend(bytes(max(0, offset + size - len(memory))) if event == Event.SLOT_WRITE else b"")
        if isinstance(data, bytes):
            memory[offset : offset + size] = data
        return bytes(memory[offset : offset + size]).ljust(size, b"\0")
