"""The report on the terminal: what matters on less than a screen, or every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinycompile.pruning import Loss
from tinycompile.report.layer_labels import layer_labels
from tinycompile.report.summary import (
    SLOWER,
    Row,
    counted_as,
    duration,
    energy,
    executed_macs,
    heaviest,
    memory_share,
    on_two_cores,
    prediction_layers,
    rows,
    work,
)
from tinycompile.report.weights import by_bits
from tinycompile.report.wrapping import fitted, wrapped

BAR = 32
HEAVIEST = 3


def print_report(
    report: dict[str, Any], console: Console, *, verbose: bool = False, folder: Path | None = None
) -> None:
    """Whether it fits, memory, work and the heaviest layers.

    Args:
        verbose: all layers, how they requantise, what each memory holds, and notes on the file.
        folder: of the build, to say where the full report is.
    """
    fits = all((memory_share(report[memory]) or 0) <= 1 for memory in ("ram", "flash"))
    verdict = "[green]fits[/green]" if fits else "[red]does not fit[/red]"
    console.print(f"[bold]{escape(report['model'])}[/bold] for {report['target']}: {verdict}")
    console.print(f"[dim]{escape(report['board']['description'])}[/dim]\n")
    pairs = [*_memory(report, console), *_work(report), *(_details(report) if verbose else ())]
    for name, value in pairs:
        line = f"{name:13} {value}"
        console.print(wrapped(line, console.width) if console.is_terminal else line, soft_wrap=True)
    console.print()
    console.print(fitted(_all_layers(report) if verbose else _heaviest(report), console))
    if folder is not None:
        console.print(f"\n[bold]report[/bold]        {escape(str(folder / 'report.html'))}", soft_wrap=True)


def _parts(ram: Mapping[str, Any], kinds: Sequence[str]) -> list[str]:
    """Those of which there is something."""
    sizes = [(kind.replace("_", " "), ram.get(f"{kind}_bytes", 0)) for kind in kinds]
    return [f"{kind} {size:,}" for kind, size in sizes if size]


def _memory(report: dict[str, Any], console: Console) -> Iterator[tuple[str, str]]:
    ram, flash = report["ram"], report["flash"]
    yield "RAM", _share(ram, console)
    gap = ram["arena_gap_bytes"]
    proof = "no placement needs less" if gap == 0 else f"at most {gap:,} above the minimum"
    kinds = ("scratch", "state", "fast_code", "fast_weights", "stack", "other")
    together = ram.get("together")
    if together:
        yield "", f"of all models together: {', '.join(_parts(ram | together, ('arena', *kinds)))}"
        yield "", f"of this one: {', '.join(_parts(ram, ('arena', *kinds[:2])))} ({proof})"
    else:
        yield "", ", ".join([f"arena {ram['arena_bytes']:,} ({proof})", *_parts(ram, kinds)])
    yield "flash", _share(flash, console)
    yield "", f"weights {flash['weights_bytes']:,}, code {flash['code_bytes']:,}"
    bits = ", ".join(by_bits((layer.get("weight_bits"), layer["weights_bytes"]) for layer in report["layers"]))
    if bits:
        yield "", bits
    coded = flash.get("coded")
    if coded:
        size, layers = f"{coded['plain_bytes']:,} bytes coded as {coded['coded_bytes']:,}", coded["layers"]
        part = f"{coded['coded_bytes'] / coded['plain_bytes']:.1%}, their entropy is {coded['entropy_bytes']:,}"
        yield "", f"{size} in {layers} layer{'' if layers == 1 else 's'} ({part})"
    external = [memory for memory in report["memories"] if memory.get("external")]
    apart = external or any(ram.get(f"fast_{kind}_bytes") for kind in ("code", "weights"))
    for memory in report["memories"] if apart else ():
        held = ", ".join(f"{part} {size:,}" for part, size in memory["holds"].items())
        yield "", f"{memory['name']}{' (external)' if memory in external else ''}: {held or 'nothing'}"


def _cores(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Of two cores that aren't alike."""
    times = report.get("core_times")
    if times is not None:
        yield "cores", f"about {times['milliseconds']:.2f} ms together (estimate)"
        for each in times["cores"]:
            yield "", f"{each['name']} at {each['clock_hz'] / 1e6:g} MHz computes for {each['milliseconds']:.2f} ms"


def _work(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    macs, done, of = executed_macs(report), work(report), counted_as(report)
    ahead = prediction_layers(report)
    rate = f", {done.instructions / macs:.2f} per MAC" if macs else ""
    if done.measured:
        whose = " of both cores together" if on_two_cores(report) else ""
        yield "instructions", f"{done.instructions:,} per {of}{whose}, counted in QEMU{rate}"
    else:
        counted = "" if report["target"] == "host" else f"; `run` counts {'those of predictions' if ahead else 'them'}"
        whose = SLOWER if on_two_cores(report) else ""
        yield "instructions", f"about {done.instructions:,} per {of}{whose}{rate} (estimate{counted})"
    if ahead is not None:
        own = [each for each in report["layers"][:ahead] if each["traced"]]
        alone = f"{sum(each['macs'] for each in own):,} MACs"
        yield "", f"a prediction alone: about {sum(each['instructions_estimate'] for each in own):,}, for {alone}"
    if report.get("training") is not None:
        yield from _training(report)
    time = duration(report)
    if time is not None:
        clock = f"{report['board']['clock_hz'] / 1e6:g} MHz"
        yield "time", f"about {time.text()} at {clock} (estimate)"
        for line in (*time.how().split("; "), *(f"assumed: {line}" for line in time.assumes)):
            yield "", line
    yield from _cores(report)
    joules = energy(report)
    if joules is not None:
        yield "energy", f"about {joules.text()} (estimate)"
        yield "", joules.how
    yield "MACs", f"{macs:,} executed of {report['macs']['nominal']:,}" if ahead is None else f"{macs:,} per {of}"
    saved = report["eliminated"]
    if report.get("slide") is not None:
        yield from _slide(report, done.instructions)
    elif any(saved.values()):
        weights = f"{saved['weight_bytes']:,} weight bytes"
        yield "eliminated", f"{saved['channels']:,} constant channels with {saved['macs']:,} MACs and {weights}"
    else:
        yield "eliminated", "nothing: no channel is constant"
    if report.get("pruning") is not None:
        yield from _pruning(report["pruning"], done.instructions)
    yield "schedule", _schedule(report)
    steps = report.get("steps")
    if steps is not None:
        part = f"{steps['longest'] / max(1, sum(each['instructions_estimate'] for each in report['layers'])):.1%}"
        yield "steps", f"{steps['count']:,}, the longest takes about {steps['longest']:,} instructions ({part})"
        if steps["longest"] > steps["limit"]:
            yield "", f"above --steps, which are {steps['limit']:,}: {escape(', '.join(steps['longest_layers']))}"
    asked = [escape(text.partition(":")[0]) for text in report["options"].get("backend", ())]
    if asked:
        folded = report["options"].get("folded_output") is not None
        yield "back ends", f"{', '.join(asked)}: {report['model']}_backend.h{'; no softmax' if folded else ''}"
    if report["options"].get("match") == "tflm":
        yield "bytes", "TFLM's, where LiteRT's are others (--match tflm)"
    if report["options"].get("align") == "strict":
        yield "alignment", "words only where they are aligned (--align strict)"


def _training(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a step takes beside a prediction, and what is trained."""
    training, counted = report["training"], report.get("verify_training", {}).get("instructions_per_step")
    for phase, name in ("backward", "its gradients"), ("update", "its updates"):
        part = training[phase]
        macs = f", for {part['macs']:,} MACs" if part["macs"] else ""
        yield "", f"{name}: about {part['instructions_estimate']:,}{macs}"
    if counted:
        yield "", f"a training step: {counted:,}, counted by `verify --train`"
    count, size = len(training["parameters"]), training["parameter_bytes"]
    yield "training", f"{count} parameter{'' if count == 1 else 's'} of {size:,} bytes, in states"
    own = f"{training['prediction_bytes']:,} bytes of the arena, {training['kept_bytes']:,} are kept for gradients"
    yield "", f"a prediction takes {own}"
    yield "", f"gradients and what they are computed in take up to {training['gradient_bytes']:,}"


def _slide(report: dict[str, Any], instructions: int) -> Iterator[tuple[str, str]]:
    slide, ram = report["slide"], report["ram"]
    yield "sliding", f"{slide['step']} of {slide['rows']} rows are new in each step (--slide)"
    whole, arena = slide["instructions_estimate"], slide["arena_bytes"]
    if whole is None:
        yield "", "the whole window wouldn't fit"
    else:
        yield "", f"the whole window: about {whole:,} instructions, of which a step takes {instructions / whole:.2f}"
        here = ram["arena_bytes"] + ram["state_bytes"]
        yield "", f"its arena: {arena:,} bytes, those of a step and its states {here:,}"


def _pruning(pruning: dict[str, Any], instructions: int) -> Iterator[tuple[str, str]]:
    kept = ", ".join(f"{each['kept']} of {each['tokens']}" for each in pruning["attentions"])
    yield "tokens", f"{kept} go on behind attention (--keep-tokens)"
    whole = pruning["instructions_estimate"]
    if whole is None:
        yield "", "all of them wouldn't fit"
    else:
        yield "", f"all of them: about {whole:,} instructions, of which these take {instructions / whole:.2f}"
    if pruning["loss"] is not None:
        yield "", Loss(**pruning["loss"]).describe()


def _schedule(report: dict[str, Any]) -> str:
    stages, layers = report["stages"], len(report["layers"])
    if not stages:
        return f"{layers} layers, one after the other"
    inside = sum(len(stage["layers"]) for stage in stages)
    many = f"{len(stages)} stages" if len(stages) > 1 else "a stage"
    kinds = {"stream": "row by row", "patch": "patch by patch"}
    how = " or ".join(dict.fromkeys(kinds.get(mode, mode) for mode in (str(stage["mode"]) for stage in stages)))
    return f"{inside} of {layers} layers in {many}, {how}"


def _details(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "order", report["ram"]["order"]
    for memory in report["memories"]:
        yield memory["name"], ", ".join(f"{part} {size:,}" for part, size in memory["holds"].items())
    for form, count in report["requantisation"].items():
        yield "requantised", f"{count} layer{'' if count == 1 else 's'} by {escape(form)}"
    for note in report.get("notes", ()):
        yield "note", escape(note)


def _share(memory: dict[str, int], console: Console) -> str:
    """A bar and figures; green, from 80 % on yellow, red beyond the limit."""
    share = memory_share(memory)
    if share is None:
        return f"{memory['total_bytes']:,} bytes"
    full = min(BAR, max(1, round(BAR * share)))
    filled, empty = ("█", "░") if console.encoding.lower().startswith("utf") else ("#", "-")
    colour = "green" if share < 0.8 else "yellow" if share <= 1 else "red"
    bar = f"[{colour}]{filled * full}[/{colour}][dim]{empty * (BAR - full)}[/dim]"
    return f"{bar} {memory['total_bytes']:,} of {memory['limit_bytes']:,} bytes ({100 * share:.1f} %)"


def _heaviest(report: dict[str, Any]) -> Table:
    table = _table("heaviest layers", "what", "kernel")
    for name in ("MACs", "instructions", "of all"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    everything = sum(row.instructions for row in rows(report)) or 1
    for row in heaviest(report, HEAVIEST):
        name, what, kernel = _names(report, row)
        share = f"{100 * row.instructions / everything:.0f} %"
        table.add_row(name, what, kernel, f"{row.macs:,}" if row.macs else "", f"{row.instructions:,}", share)
    return table


def _names(report: dict[str, Any], row: Row) -> tuple[str, str, str]:
    members = report["layers"][row.first : row.last]
    labels = layer_labels(report["layers"])[row.first : row.last]
    name = escape(labels[0])
    if len(members) == 1:
        return name, members[0]["op"], escape(members[0]["kernel"])
    return f"{name}..{escape(labels[-1])}", f"stage\u00a0{members[0]['stage']}", ""


def _all_layers(report: dict[str, Any]) -> Table:
    table = _table("layer", "op", "kernel")
    instructions = "instructions" if work(report).measured else "about instr."
    for name in ("output", "MACs", instructions, "per MAC", "weights", "bits"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for label, layer in zip(layer_labels(report["layers"]), report["layers"], strict=True):
        counted, macs = layer["instructions"], layer["macs"]
        count = layer["instructions_estimate"] if counted is None else counted
        shape = "x".join(str(d) for d in layer["outputs"][0]["shape"][1:]) if layer["outputs"] else ""
        table.add_row(
            escape(label),
            layer["op"],
            escape(layer["kernel"]),
            shape,
            f"{macs:,}" if macs else "",
            f"{count:,}",
            f"{count / macs:.2f}" if count and macs else "",
            f"{layer['weights_bytes']:,}" if layer["weights_bytes"] else "",
            str(layer.get("weight_bits") or ""),
        )
    return table


def _table(*names: str) -> Table:
    """Columns of text, which become narrower before numbers do."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(names):
        table.add_column(name, overflow="ellipsis", max_width=None if index else 28)
    return table
