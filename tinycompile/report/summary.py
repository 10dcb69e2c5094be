"""Figures of a report that both the terminal and the HTML page show: totals, time, heaviest layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinycompile.ops._training.losses import BeginBackward

UNLIMITED_BYTES = 1 << 31
"""A board with so much memory has no limit worth showing: the host."""

SLOWER = " of the core that takes longer"

Report = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """Instructions of one inference, and whether QEMU counted them or the kernels' figures say so; `counted_as` says
    of what, if the model learns.
    """

    instructions: int
    measured: bool


@dataclass(frozen=True)
class Duration:
    """Estimated time of one inference: the core's cycles, and what it waits for its memories.

    Attributes:
        low, high: seconds.
        core: cycles of the board's core, {"low", "high"}: equal where `profile` has a model of it.
        waiting: cycles of waiting, the same.
        modelled, simulated: whether the one is by the profile's model and the other by its simulation, and not by the
            figures that a build has without a run.
        error_percent: of the model of the core against published figures; None where there are none.
        assumes: what the bounds of the waiting stand for.
        whose: of two cores, which one's cycles these are.
    """

    low: float
    high: float
    core: dict[str, int]
    waiting: dict[str, int]
    modelled: bool
    simulated: bool
    error_percent: float | None
    assumes: tuple[str, ...]
    whose: str = ""

    def text(self) -> str:
        """A time, or the range in which it is."""
        decimals = _decimals(self.low * 1e3)
        low, high = (f"{seconds * 1e3:,.{decimals}f}" for seconds in (self.low, self.high))
        return f"{low} ms" if low == high else f"{low} to {high} ms"

    def how(self) -> str:
        """What it is made of."""
        if not self.modelled:
            known = ", of a core without a model" if self.simulated else ", by the usual cycles per instruction"
        else:
            known = "" if self.error_percent is None else f", error up to {self.error_percent:.0f} %"
        core = f"{range_text(self.core)} {f'cycles{self.whose}' if self.whose else 'core cycles'}{known}"
        if not self.waiting["high"]:
            return f"{core}; no waiting for memories"
        found = "simulated" if self.simulated else "estimated" if self.whose else "estimated: `profile` simulates it"
        return f"{core}; {range_text(self.waiting)} cycles of waiting for memories, {found}"


@dataclass(frozen=True)
class Row:
    """Instructions of a layer, or of a stage whose layers were counted together.

    Attributes:
        first, last: layers [first, last). path: of the figure in the report.
    """

    first: int
    last: int
    path: str
    instructions: int
    macs: int


def prediction_layers(report: Report) -> int | None:
    """How many layers, from the first on, a prediction executes of a model that learns; None for one that doesn't."""
    if not report.get("options", {}).get("train"):
        return None
    return 1 + next(i for i, layer in enumerate(report["layers"]) if layer["op"] == BeginBackward.kind)


def counted_as(report: Report) -> str:
    """What `work` counts one of: of a model that learns an estimate is for a whole step, a run is a prediction."""
    if prediction_layers(report) is None:
        return "inference"
    return "prediction" if work(report).measured else "training step"


def executed_macs(report: Report) -> int:
    """Those of what `work` counts."""
    if counted_as(report) != "prediction":
        return int(report["macs"]["executed"])
    return sum(layer["macs"] for layer in report["layers"][: prediction_layers(report)])


def work(report: Report) -> Work:
    """Counted by `profile` or `run` if there was one, else estimated."""
    if "run" in report:
        return Work(report["run"]["instructions"], True)
    if "profile" in report:
        return Work(report["profile"]["instructions"], True)
    return Work(estimated_instructions(report), False)


def estimated_instructions(report: Report) -> int:
    """Of an inference; of two cores, of the one that takes longer in each layer."""
    return sum(layer["instructions_estimate"] for layer in report["layers"])


def on_two_cores(report: Report) -> bool:
    """Whether a layer may be computed by both; what `run` counts are the instructions of both then."""
    return report.get("options", {}).get("cores", 1) > 1


@dataclass(frozen=True)
class Energy:
    """Estimated energy of one inference, by the time's range and the current of the board's file.

    Attributes:
        low, high: joules. how: what it is made of, and by whose figures.
    """

    low: float
    high: float
    how: str

    def text(self) -> str:
        low, high = (f"{nano:,.0f}" if nano >= 100 else f"{nano:.3g}" for nano in (1e9 * self.low, 1e9 * self.high))
        return f"{low} nJ" if low == high else f"{low} to {high} nJ"


def energy(report: dict[str, Any]) -> Energy | None:
    """None where the time isn't known, or the board's file has no [power]."""
    power: dict[str, Any] | None = report.get("board", {}).get("power")
    time = duration(report)
    if power is None or time is None:
        return None
    low, high = power["run_ma"]
    current = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    watts = [ma / 1000 * power["volts"] for ma in (low, high)]
    how = (
        f"the core running at {current} mA and {power['volts']:g} V ({power['source']}); without sleep and peripherals"
    )
    return Energy(time.low * watts[0], time.high * watts[1], how)


def duration(report: Report) -> Duration | None:
    """None where the target has no clock of its own, the host, and for a report that says nothing of time."""
    time, profile = report.get("time"), report.get("profile", {})
    clock = report.get("board", {}).get("clock_hz")
    if report["target"] == "host" or not clock or not (time or profile.get("estimate")):
        return None
    two, cycles = on_two_cores(report), _modelled_cycles(report)
    low, high = time["cycles_per_instruction"] if time else (1.0, 1.0)
    count = estimated_instructions(report) if two else work(report).instructions
    core = (
        {"low": round(count * low), "high": round(count * high)} if cycles is None else {"low": cycles, "high": cycles}
    )
    simulated = profile.get("waiting") is not None and not two  # as if one core executed all of it
    waiting = profile["waiting"]["total"] if simulated else _estimated_waiting(report)
    assumes = profile["waiting_assumes"] if simulated else time["assumes"] if time else ()
    return Duration(
        (core["low"] + waiting["low"]) / clock,
        (core["high"] + waiting["high"]) / clock,
        core,
        waiting,
        cycles is not None,
        simulated,
        profile.get("error_percent", {}).get(report["board"]["core"]),
        tuple(assumes),
        SLOWER if two else "",
    )


def _modelled_cycles(report: Report) -> int | None:
    """By `profile`'s model; of two cores those of the one that takes longer, in cycles of the first."""
    profile, board = report.get("profile", {}), report["board"]
    if not on_two_cores(report):
        return profile.get("cycles", {}).get(board["core"])
    times = [each["milliseconds"] for each in profile.get("cores", ())]
    return None if not times or None in times else round(max(times) * board["clock_hz"] / 1e3)


def _estimated_waiting(report: Report) -> dict[str, int]:
    """Of what `work` counts."""
    if not report.get("time"):
        return {"low": 0, "high": 0}
    if counted_as(report) != "prediction":
        return report["time"]["waiting_total"]
    own = [layer["waiting_estimate"] for layer in report["layers"][: prediction_layers(report)]]
    return {end: sum(each[end] for each in own) for end in ("low", "high")}


def places(report: Report, part: str) -> list[tuple[str, int]]:
    """(memory, bytes) of everything of a kind: "weights", "code", "arena", ..."""
    return [(m["name"], m["holds"][part]) for m in report.get("memories", ()) if part in m["holds"]]


def range_text(bounds: dict[str, int]) -> str:
    """Cycles between two bounds, or their number."""
    low, high = bounds["low"], bounds["high"]
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"


def layer_counts(report: Report) -> tuple[list[int], str]:
    """Instructions of each layer, and the path of the figure of layer {}: the best that is known."""
    if "profile" in report:
        return [layer["instructions"] for layer in report["profile"]["layers"]], "profile.layers.{}.instructions"
    key = "instructions" if "run" in report else "instructions_estimate"
    return [layer[key] or 0 for layer in report["layers"]], f"layers.{{}}.{key}"


def rows(report: Report) -> list[Row]:
    """In the order of execution. Layers that `run` can't tell apart are one row; those that it doesn't execute, which
    learn, have none.
    """
    (counts, path), executed = layer_counts(report), prediction_layers(report) if work(report).measured else None
    layers = report["layers"][:executed]
    found, first, together = list[Row](), 0, path == "layers.{}.instructions"
    while first < len(layers):
        last = first + 1
        while together and last < len(layers) and not layers[last - 1].get("traced", True):
            last += 1
        lead = max(range(first, last), key=counts.__getitem__)
        macs = sum(layer["macs"] for layer in layers[first:last])
        found.append(Row(first, last, path.format(lead), sum(counts[first:last]), macs))
        first = last
    return found


def heaviest(report: Report, count: int) -> list[Row]:
    """The rows with the most instructions, the heaviest first."""
    return sorted(rows(report), key=lambda row: -row.instructions)[:count]


def memory_share(memory: dict[str, int]) -> float | None:
    """Part of the limit that is used; None where there is no limit."""
    return None if memory["limit_bytes"] >= UNLIMITED_BYTES else memory["total_bytes"] / memory["limit_bytes"]


def _decimals(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 4
