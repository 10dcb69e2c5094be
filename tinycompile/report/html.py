"""`report.html`: everything that report.json and certificate.json say, as one file that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from markupsafe import Markup

from tinycompile.report.advice import advice
from tinycompile.report.document import CERTIFICATE, load_document, replace_file
from tinycompile.report.evaluation import NAMES, column_names
from tinycompile.report.layer_labels import layer_labels
from tinycompile.report.pictures import environment
from tinycompile.report.pictures.arena import arena_picture, ram_picture
from tinycompile.report.pictures.front import counted_bits, front_picture, low_bits_pictures
from tinycompile.report.pictures.network import compiled_picture, source_picture
from tinycompile.report.summary import Row, counted_as, duration, energy, memory_share, prediction_layers, rows, work
from tinycompile.report.widths import accuracy_path
from tinycompile.resources import html_dir

PAGE = "report.html"
MIX = ("mac", "simd", "alu", "load", "store", "branch", "other")


def write_html(folder: Path) -> None:
    """Replace report.html of an output folder by what its report.json and certificate.json say now.

    Raises:
        UsageError: not an output folder, or its report can't be read.
    """
    replace_file(folder / PAGE, page(load_document(folder), _certificate(folder)))


def page(document: Mapping[str, Any], certificate: Mapping[str, Any] | None = None) -> str:
    """The page for the report of one or several models.

    Args:
        document: the content of report.json. certificate: of certificate.json, if there is one.
    """
    reports = document.get("models", [document])
    models = [_Model(report, _certificate_of(report, certificate, len(reports))) for report in reports]
    return (
        environment()
        .get_template("report.html.j2")
        .render(title=document["model"], models=models, css=stylesheet(), mix=MIX)
    )


def stylesheet() -> Markup:
    """Of all pages."""
    return _css("page.css") + _css("map.css")


def memory_svg(report: Mapping[str, Any]) -> str:
    """The arena over time as a file of its own."""
    return str(arena_picture(dict(report), style=_css("map.css")))


class _Model:
    """What the template asks for; `report` is the model's own report."""

    def __init__(self, report: dict[str, Any], certificate: Mapping[str, Any] | None) -> None:
        self.report, self.certificate = report, certificate
        self.work, self.duration, self.energy = work(report), duration(report), energy(report)
        self.counted_as, self.learns = counted_as(report), prediction_layers(report) is not None
        self.drawable = bool(report.get("arena")) and bool(report["layers"])
        self.labels, self.rows = layer_labels(report["layers"]), [_bar(report, row) for row in rows(report)]
        self.profile = report.get("profile")
        self.ram_share, self.flash_share = memory_share(report["ram"]), memory_share(report["flash"])

    @property
    def arena(self) -> Markup:
        return arena_picture(self.report)

    @property
    def ram(self) -> Markup:
        return ram_picture(self.report)

    @property
    def source(self) -> Markup:
        return source_picture(self.report)

    @property
    def compiled(self) -> Markup:
        return compiled_picture(self.report, self.panel)

    def panel(self, layer: int) -> str:
        """The name of what the page says of a layer when it is chosen."""
        return f"{self.report['model']}-layer-{layer}"

    def sources(self, layer: int) -> list[tuple[str, int | None]]:
        """(name, layer) of what a layer reads: layers, and inputs, which have no number."""
        graph: dict[str, Any] = self.report["graphs"]["compiled"]
        nodes, edges = cast(list[dict[str, Any]], graph["nodes"]), cast(list[tuple[int, int]], graph["edges"])
        found = list[tuple[str, int | None]]()
        for made, reader in edges:
            if nodes[reader]["layer"] == layer:
                number: int | None = nodes[made]["layer"]
                found.append((nodes[made]["name"] if number is None else self.labels[number], number))
        return found

    @property
    def advice(self) -> list[str]:
        return advice(self.report)

    @property
    def fronts(self) -> list[Markup]:
        """RAM against instructions, and against MACs where those differ among the points."""
        macs = {point["macs"] for point in self.report["pareto"]}
        names = [("macs", "MACs")] if len(macs) > 1 else []
        return [
            front_picture(self.report, key, name)
            for key, name in [*names, ("instructions_estimate", "instructions (estimate)")]
        ]

    @property
    def low_bits(self) -> list[Markup]:
        """Bytes of weights against what is lost, and against instructions."""
        return low_bits_pictures(self.report)

    def layers_of(self, point: dict[str, Any]) -> str:
        """How many layers have how many bits at a point of `low_bits`."""
        return counted_bits(point)

    @property
    def fits(self) -> bool:
        return (self.ram_share or 0) <= 1 and (self.flash_share or 0) <= 1

    @property
    def compared(self) -> bool:
        """Whether a certificate or an earlier `verify` says anything."""
        return self.certificate is not None or "verify" in self.report

    def num(self, path: str, decimals: int | None = None) -> Markup:
        """A figure of the report, with where it is from."""
        return _figure(_at(self.report, path), path, decimals)

    def exact(self, path: str) -> Markup:
        """A figure with all of its digits, such as a scale."""
        value = _at(self.report, path)
        return Markup('<data value="{}" data-path="{}">{}</data>').format(repr(value), path, repr(value))

    def proof(self, path: str) -> Markup:
        """A figure of the certificate."""
        return _figure(_at(self.certificate, path), f"certificate:{path}", None)

    def most(self, key: str) -> int:
        return max((layer.get(key) or 0 for layer in self.report["layers"]), default=0) or 1

    @property
    def most_flash(self) -> int:
        found = (layer["weights_bytes"] + layer.get("code_bytes", 0) for layer in self.report["layers"])
        return max(found, default=0) or 1

    @property
    def most_instructions(self) -> int:
        return max((row.instructions for row in self.rows), default=0) or 1

    @property
    def _profile(self) -> dict[str, Any]:
        """Empty without one."""
        return self.profile or {}

    @property
    def core(self) -> str:
        """The core whose cycles are drawn: the board's own, or any that the profile has a model of; empty without."""
        known = list[str](self._profile.get("cycles", {}))
        own = self.report.get("board", {}).get("core", "")
        return own if own in known else next(iter(known), "")

    @property
    def most_cycles(self) -> int:
        return max((layer["cycles"][self.core] for layer in self._profile["layers"]), default=0) or 1

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Signal-to-noise ratio of every tensor of a model that was quantised here, as the report has them."""
        quantization: dict[str, Any] = self.report.get("quantization") or {}
        return quantization.get("layers_sqnr_db", [])

    @property
    def most_error(self) -> float:
        return max((entry["sqnr_db"] for entry in self.errors), default=0) or 1

    @property
    def evaluation(self) -> Evaluated:
        """What `evaluate` measured; only where it did."""
        return Evaluated(self.report)

    @property
    def accuracy(self) -> Markup:
        """Of the firmware, if `evaluate` measured any."""
        path = accuracy_path(self.report)
        return Markup() if path is None else self.num(path, 4)

    @property
    def hashes(self) -> list[tuple[str, str]]:
        """(what, SHA-256), the model first."""
        certificate: Mapping[str, Any] = self.certificate or {}
        known = certificate.get("sha256", {})
        found = [("model", known["model"])] if "model" in known else []
        for group in ("sources", "elf"):
            found += sorted(known.get(group, {}).items())
        return found


_MOST_IN_MATRIX = 64
_MOST_LISTED = 256
"""Classes."""


class Evaluated:
    """What the template asks for of `evaluation`."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self.columns = column_names(report)
        self._facts = report["evaluation"]

    @property
    def measures(self) -> list[tuple[str, str]]:
        """(key, what it is called)."""
        return [(key, NAMES[key]) for key in self._facts["columns"][0] if key != "column"]

    @property
    def matrix(self) -> bool:
        """Whether it is shown as a whole: of many classes nobody sees anything in it, and the page is large."""
        return self._facts["confusion"] is not None and len(self._facts["classes"]) <= _MOST_IN_MATRIX

    @property
    def listed(self) -> list[int]:
        """The classes to show, by number: all, or of many those that the model finds worst."""
        classes: list[dict[str, Any]] = self._facts["classes"]
        if len(classes) <= _MOST_LISTED:
            return list(range(len(classes)))
        known = [number for number, each in enumerate(classes) if each["samples"]]
        return sorted(known, key=lambda number: classes[number]["f1"])[:_MOST_LISTED]

    def share(self, row: int, column: int) -> float:
        """Of the samples of a class, those that were taken for another one, or for it."""
        counts = self._facts["confusion"][row]
        return counts[column] / max(1, sum(counts))


@dataclass(frozen=True)
class Bar:
    """A line of the chart of instructions: a layer, or layers that were counted together.

    Attributes:
        path: of the figure in the report. index: its layers' numbers. title: their names.
    """

    instructions: int
    path: str
    index: str
    name: str
    title: str


def _bar(report: dict[str, Any], row: Row) -> Bar:
    layers = report["layers"][row.first : row.last]
    single = len(layers) == 1
    stage = f"stage {layers[0]['stage']}, {len(layers)} layers together"
    return Bar(
        instructions=row.instructions,
        path=row.path,
        index=f"{row.first}" if single else f"{row.first}-{row.last - 1}",
        name=layer_labels(report["layers"])[row.first] if single else stage,
        title=", ".join(layer["name"] for layer in layers),
    )


def _figure(value: Any, path: str, decimals: int | None) -> Markup:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Markup('<span data-path="{}">{}</span>').format(path, "none" if value is None else value)
    text = f"{value:,}" if decimals is None else f"{value:,.{decimals}f}"
    return Markup('<data value="{}" data-path="{}">{}</data>').format(repr(value), path, text)


def _at(content: Any, path: str) -> Any:
    """What a dotted path leads to."""
    for key in path.split("."):
        content = cast(list[Any], content)[int(key)] if isinstance(content, list) else content[key]
    return content


def _certificate(folder: Path) -> dict[str, Any] | None:
    """None where there is none; one that can't be read is none."""
    try:
        found = json.loads((folder / CERTIFICATE).read_text())
    except (OSError, ValueError):
        return None
    return cast(dict[str, Any], found) if isinstance(found, dict) else None


def _certificate_of(
    report: Mapping[str, Any], certificate: Mapping[str, Any] | None, models: int
) -> Mapping[str, Any] | None:
    """What the certificate says of a model; of the only one also without its name."""
    if certificate is None:
        return None
    if models == 1 and "models" not in certificate:
        return certificate
    return next(
        (entry for entry in certificate.get("models", [certificate]) if entry.get("model") == report["model"]), None
    )


def _css(name: str) -> Markup:
    return Markup((html_dir() / name).read_text(encoding="utf-8"))  # noqa: S704 - a file of ours
