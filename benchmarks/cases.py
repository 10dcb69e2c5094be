"""What is measured: models x cores x schedules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MODELS = ("ad01_int8", "kws_ref_model", "ic_resnet8_int8", "vww_96_int8", "mcunet_vww", "mobilenet_v2_int8")

TARGETS = {
    "rp2040": "Cortex-M0+",
    "mps2-an385": "Cortex-M3",
    "mps2-an386": "Cortex-M4",
    "mps2-an500": "Cortex-M7",
    "mps2-an505": "Cortex-M33",
    "mps3-an547": "Cortex-M55",
}
"""A board of each core that QEMU can run. (The RP2040's code runs on QEMU's Cortex-M3 board; it has no M0+ with its RAM.)"""

SCHEDULES = ("layer", "stream", "patch")
"""`--schedule`, each without a limit for the arena: by layers at full speed; by rows and by patches within 1.1 times the
least RAM that this schedule allows."""

BOARDS = {
    "rp2040": "Cortex-M0+",
    "nrf52840": "Cortex-M4",
    "stm32f746": "Cortex-M7",
    "nrf5340": "Cortex-M33",
    "mps3-an547": "Cortex-M55",
}
"""Boards with a megabyte of flash or more, for builds without any option. (The Cortex-M3's chip, the STM32F103, has 64 kB.)"""

SIZE_TARGETS = ("mps2-an386", "mps2-an500")
"""Where `--optimize size` is measured too, layer by layer."""

QUICK_MODELS = MODELS[:2]
QUICK_TARGETS = ("rp2040", "mps2-an386", "mps2-an500")


@dataclass(frozen=True)
class Case:
    """One build."""

    model: str
    target: str
    schedule: str
    optimize: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.model, self.target, self.schedule, self.optimize


def cases(models: Sequence[str], targets: Sequence[str], schedules: Sequence[str]) -> Iterator[Case]:
    """In the order of the table."""
    for model in models:
        for target in targets:
            for schedule in schedules:
                yield Case(model, target, schedule, "speed")
            if target in SIZE_TARGETS and "layer" in schedules:
                yield Case(model, target, "layer", "size")
        cores = {TARGETS.get(target) for target in targets}
        for board, core in BOARDS.items() if "layer" in schedules else ():
            if core in cores:
                yield Case(model, board, "auto", "balanced")
