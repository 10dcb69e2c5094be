"""report.html: loads in Chromium without a complaint, needs nothing else, and says what report.json says."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import DIGITS, ROOT
from tests.support.browser import load
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.errors import TargetError
from tinycompile.options import Options
from tinycompile.pipeline import compile_together
from tinycompile.report.html import page as page_of
from tinycompile.report.html import write_html
from tinycompile.report.layer_labels import layer_labels
from tinycompile.report.summary import duration, energy
from tinycompile.targets import Power, load_board
from tinycompile.verify.compare import verify_build

MIX = {"mac": 5, "load": 4, "store": 1, "simd": 3, "alu": 2, "branch": 1, "other": 0}

EVALUATION = {
    "task": "classes",
    "samples": 9,
    "output": 0,
    "columns": [{"column": "firmware", "top1": 7 / 9, "auc": None}, {"column": "float", "top1": 8 / 9, "auc": 0.75}],
    "agreement": [
        {"column": "float", "same_outputs": 3, "outputs": 9, "largest_difference": 0.125, "same_class": 8 / 9}
    ],
    "classes": [
        {"class": name, "samples": n, "predicted": m, "precision": p, "recall": 0.75, "f1": 0.625}
        for name, n, m, p in (("yes & no", 4, 5, 0.75), ("<other>", 5, 4, 0.8125))
    ],
    "confusion": [[3, 1], [2, 3]],
    "worst": [
        {"sample": 7, "badness": 0.5, "label": "<other>", "decided": "yes & no", "picture": "iVBORw0KGgo="},
        {"sample": 2, "badness": 0.25, "label": "yes & no", "decided": "yes & no", "picture": None},
    ],
    "data": "<eval>.npz",
    "on": "host",
    "float_model": "float.onnx",
    "notes": ["without the reference: it isn't installed"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build that was run and verified, with a profile and a certificate."""
    folder = tmp_path_factory.mktemp("report") / "out"
    options = Options(schedule="stream", pareto=True)
    (build,) = compile_together([DIGITS / "digits_int8.tflite"], options, output=folder)
    samples = [np.load(DIGITS / "digits_samples.npz")["input_0"][:2]]
    build.execute(samples)
    verify_build(build, samples)
    _add_profile(folder)
    return folder


def _add_profile(folder: Path) -> None:
    """As `profile` and `verify` leave them, with figures of our own and names that need escaping."""
    report = json.loads((folder / "report.json").read_text())
    names = [layer["name"] for layer in report["layers"]]
    layers = [
        {"name": n, "instructions": 100 + i, "mix": MIX, "cycles": {"cortex-m4": 150 + i, "cortex-m7": 90 + i}}
        for i, n in enumerate(names)
    ]
    report["profile"] = {
        "machine": "mps2-an500",
        "instructions": 123_456,
        "mix": MIX,
        "cycles": {"cortex-m4": 234_567, "cortex-m7": 101_010},
        "error_percent": {"cortex-m4": None, "cortex-m7": 12.25},
        "note": "",
        "layers": layers,
        "outside_layers": {"instructions": 7, "mix": MIX, "cycles": {"cortex-m4": 9, "cortex-m7": 8}},
    }
    points = [(9000, 400, None, {}), (5000, 420, 31.25, {"a & b": 4}), (4000, 450, 17.5, {"a & b": 2, "c": 3})]
    measured = {"sqnr_db": 30.5, "agreement": 0.975, "accuracy": 0.96875, "reference_accuracy": 0.9765625}
    report["low_bits"] = {
        "measured_on": "4 samples of <eval>",
        "front": [
            {
                "weights_bytes": size,
                "instructions_estimate": work,
                "predicted_sqnr_db": loss,
                "bits": bits,
                "channels": {"d": {"kept": 12, "of": 16}} if size == 4000 else {},
                "chosen": size == 5000,
                "measured": measured if size == 5000 else None,
            }
            for size, work, loss, bits in points
        ],
    }
    report["evaluation"] = EVALUATION
    (folder / "report.json").write_text(json.dumps(report))
    certificate = {
        "reference": {"name": "LiteRT <reference>", "version": "2.3.0"},
        "samples": 2,
        "tensors": 11,
        "values": 9876,
        "differences": 0,
        "sha256": {"model": "ab" * 32, "sources": {"m.c": "cd" * 32}, "elf": {"firmware.elf": "ef" * 32}},
        "layers": [{"name": n, "values": 10 + i, "differences": 0} for i, n in enumerate(names)],
        "skipped": ["a & b"],
    }
    (folder / "certificate.json").write_text(json.dumps(certificate))
    write_html(folder)


class Figures(HTMLParser):
    """(path, value, text) of every figure, and the outside addresses that a document names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.figures = list[tuple[str, float | None, str]]()
        self.references = list[str]()
        self.tags = set[str]()
        self.ids = list[str]()
        self._open: tuple[str, str | None] | None = None
        self._text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        self.references += [str(v) for k, v in attrs if k in ("src", "href", "xlink:href", "srcset", "action")]
        path = found.get("data-path")
        if path is None:
            return
        value = found.get("value") or found.get("data-value")
        if tag in ("data", "span"):
            self._open, self._text = (path, value), ""
        else:
            assert value is not None
            self.figures.append((path, float(value), value))

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("data", "span") and self._open is not None:
            path, value = self._open
            self.figures.append((path, None if value is None else float(value), self._text))
            self._open = None


def _at(content: Any, path: str) -> Any:
    for key in path.split("."):
        content = content[int(key)] if isinstance(content, list) else content[key]
    return content


def _paths(content: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _paths(value, f"{prefix}{key}.")
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _paths(value, f"{prefix}{index}.")
    else:
        yield prefix[:-1]


def test_it_loads_without_console_errors_and_its_numbers_equal_the_report(folder: Path) -> None:
    html, console = load(folder / "report.html")
    assert console == []
    contents = {"": json.loads((folder / "report.json").read_text())}
    contents["certificate"] = json.loads((folder / "certificate.json").read_text())
    page = Figures(html)
    for path, value, text in page.figures:
        which, _, inner = path.rpartition(":")
        expected = _at(contents[which], inner)
        if value is None:
            assert text == ("none" if expected is None else str(expected)), path
        else:
            assert value == expected, path
            shown = float(text.replace(",", ""))
            decimals = len(text.partition(".")[2])
            assert shown == round(expected, decimals), path
    shown = {path for path, _, _ in page.figures}
    everything = set(_paths(contents[""]))
    for wanted in (
        r"ram\.(total|arena|stack|other)_bytes|flash\.(total|weights|code)_bytes",
        r"arena\.buffers\.\d+\.bytes|layers\.\d+\.(live|weights|code)_bytes|run\.instructions|macs\..*",
        r"profile\.instructions|profile\.(cycles|mix)\..*|profile\.layers\.\d+\.(cycles|mix)\..*",
        r"low_bits\.front\.1\..*(_bytes|_estimate|_db|agreement|\.accuracy)|low_bits\.front\.\d+\.weights_bytes",
        r"evaluation\.(samples|columns\.\d+\.(top1|auc)|confusion.*|classes\.\d+\.(samples|predicted|precision|recall|f1))",
        r"evaluation\.(agreement\.\d+\.(same_.*|outputs|largest_difference)|worst\.\d+\.sample)",
        r"memories\.\d+\.(bytes|holds\..*)",
        r"pareto\.\d+\.(arena_bytes|macs|instructions_estimate)|stages\.\d+\.(macs|layer_macs)",
    ):
        paths = {path for path in everything if re.fullmatch(wanted, path)}
        assert paths
        assert paths <= shown
    front = re.findall(r'aria-label="weights in bytes against [^"]*"(.*?)</svg>', html, re.DOTALL)
    assert [(picture.count("<circle"), picture.count('class="chosen"')) for picture in front] == [(3, 1), (4, 1)]
    assert "1 of 3 bits, 1 of 2 bits, 4 channels removed" in html
    assert {"certificate:values", "certificate:differences", "certificate:samples"} <= shown


def test_many_classes_are_a_small_page(folder: Path) -> None:
    """Of 1,000 classes: the pairs that are most often confused, and the classes that are found worst."""
    report = json.loads((folder / "report.json").read_text())
    plain = len(page_of(report, None))
    row = {"samples": 10, "predicted": 10, "precision": 0.5, "recall": 0.5}
    report["evaluation"] |= {
        "confusion": None,
        "classes": [{"class": f"c{n}", **row, "f1": n / 1000} for n in range(1000)],
        "confused": [{"label": f"c{n}", "decided": "c<7>", "samples": 1000 + n} for n in range(100)],
    }
    html = page_of(report, None)
    assert len(html) - plain < 200_000
    assert "<td>c99<td>c&lt;7&gt;" in html and "the 256 worst of 1000 classes" in html
    assert 'data-path="evaluation.classes.255.f1"' in html and "evaluation.classes.256.f1" not in html


def test_it_is_one_file_without_network_and_scripts(folder: Path) -> None:
    html = (folder / "report.html").read_text()
    page = Figures(html)
    assert [r for r in page.references if not r.startswith(("data:", "#"))] == []
    assert not page.tags & {"script", "iframe", "link:stylesheet", "object"}  # images are data
    assert "url(" not in html
    assert "@import" not in html
    outside = set(re.findall(r"https?://[^\"'\s<)]+", html)) - {"http://www.w3.org/2000/svg"}
    assert outside == set()
    assert len(page.ids) == len(set(page.ids))


def test_names_are_escaped(folder: Path) -> None:
    html = (folder / "report.html").read_text()
    assert "<reference>" not in html
    assert "LiteRT &lt;reference&gt;" in html
    assert "a &amp; b" in html


LAYOUTS = [(360, "light"), (1280, "light"), (360, "dark"), (1280, "dark")]
"""Width in pixels, and the system's colours."""

MEASURE = """
const overlap = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
const box = element => element.getBoundingClientRect();
const clashes = (root, selector) => {
    const boxes = [...root.querySelectorAll(selector)].map(box).filter(one => one.width);
    return boxes.filter((one, i) => boxes.some((other, j) => j < i && overlap(one, other))).length;
};
const luminance = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
    return Math.round(0.2126 * r + 0.7152 * g + 0.0722 * b);
};
const measure = frame => {
    const inside = frame.contentDocument, all = selector => [...inside.querySelectorAll(selector)];
    const labels = all(".bars").map(bars => [...bars.querySelectorAll(".label")]);
    const body = getComputedStyle(inside.body);
    return [
        inside.documentElement.scrollWidth,
        Math.floor(Math.min(...all(".front text").map(text => box(text).height))),
        all(".node").reduce((sum, node) => sum + clashes(node, "text"), 0),
        all(".map").reduce((sum, map) => sum + clashes(map, ".name"), 0),
        labels.flat().filter(label => label.scrollWidth > label.clientWidth).length,
        labels.filter(own => new Set(own.map(label => label.textContent)).size < own.length).length,
        [luminance(body.color), luminance(body.backgroundColor)],
        all(".node").filter(node => { const outer = box(node.querySelector("rect"));
            return [...node.querySelectorAll("text")].some(text => box(text).right > outer.right + 1); }).length,
    ];
};
onload = () => {
    document.title = JSON.stringify([...document.querySelectorAll("iframe")].map(measure));
};
"""


def test_labels_are_whole_and_apart_in_any_width_and_colours(folder: Path, tmp_path: Path) -> None:
    """At a phone's and a desk's width: nothing scrolls sideways, no label is cut, covered or the same as another."""
    inner = escape((folder / "report.html").read_text(), quote=True)
    frames = "".join(
        f'<iframe width={width} height=900 style="border:0; color-scheme: {scheme}" srcdoc="{inner}"></iframe>'
        for width, scheme in LAYOUTS
    )
    wrapper = tmp_path / "frame.html"
    wrapper.write_text(f"<!doctype html><meta charset=utf-8><title></title>{frames}<script>{MEASURE}</script>")
    html, console = load(wrapper)
    assert console == []
    found = re.search(r"<title>(.*)</title>", html)
    assert found is not None
    for (width, scheme), measured in zip(LAYOUTS, json.loads(found[1]), strict=True):
        wide, height, in_nodes, in_maps, cut, same, (ink, paper), outside = measured
        assert wide <= width and height >= 10, (width, scheme)
        assert (in_nodes, in_maps, cut, same, outside) == (0, 0, 0, 0, 0), (width, scheme)
        assert ink - paper > 150 if scheme == "dark" else paper - ink > 150, (width, scheme)


def test_every_layer_of_the_graph_leads_to_all_of_it(folder: Path) -> None:
    """By links alone: there are no scripts."""
    report = json.loads((folder / "report.json").read_text())
    html = (folder / "report.html").read_text()
    page = Figures(html)
    panels = [f"{report['model']}-layer-{number}" for number in range(len(report["layers"]))]
    assert set(panels) <= set(page.ids)
    assert {f"#{panel}" for panel in panels} <= set(re.findall(r'<a href="(#[^"]*)"><g class="node', html))
    inner = {reference for reference in page.references if reference.startswith("#")}
    assert inner <= {f"#{name}" for name in page.ids}
    for number, layer in enumerate(report["layers"]):
        panel = html.partition(f'id="{panels[number]}"')[2].partition("</aside>")[0]
        shown = {path for path, _, _ in Figures(panel).figures}
        for key in ("macs", "live_bytes", "code_bytes", "instructions", "outputs.0.bytes"):
            assert f"layers.{number}.{key}" in shown
        assert layer["kernel"] in panel and escape(layer["notes"].get("chosen", "")) in panel
        for name, value in layer["attributes"].items():
            assert f"<dt>{escape(name)}<dd>{escape(value)}" in panel
        if layer["outputs"][0]["scale"] is not None:
            assert f"layers.{number}.outputs.0.scale" in shown
    attributes = [layer["attributes"] for layer in report["layers"] if "conv" in layer["op"]]
    assert attributes and all("stride" in each or any("stride" in name for name in each) for each in attributes)


def test_every_change_of_the_report_is_shown(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(folder, copy)
    (copy / "certificate.json").unlink()
    before = (copy / "report.html").read_text()
    Build(copy).execute([np.load(DIGITS / "digits_samples.npz")["input_0"][:1]])
    after = (copy / "report.html").read_text()
    assert before != after
    assert "LiteRT &lt;reference&gt;" not in after
    assert [p.name for p in copy.glob(".report*")] == []


def test_a_profile_without_a_model_of_the_core(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    nothing = {"mix": {}, "cycles": {}}
    report["profile"] |= {**nothing, "error_percent": {}, "note": "there is no model", "outside_layers": None}
    report["profile"]["outside_layers"] = {"instructions": 7, **nothing}
    report["profile"]["layers"] = [{**layer, **nothing} for layer in report["profile"]["layers"]]
    html = page_of(report)
    assert "there is no model" in html
    assert "Cycles by layer" not in html


def test_every_part_of_the_ram_and_names_that_tell_layers_apart(folder: Path) -> None:
    """PyTorch's layers are called after their module: the last part of a name is that of several."""
    report = json.loads((folder / "report.json").read_text())
    report["ram"]["state_bytes"] = 176
    for layer in report["layers"]:
        layer["name"] = f"/{layer['name']}/lstm"
    html = page_of(report)
    assert re.search(r", state <[^>]*\bram\.state_bytes\b[^>]*>176<", html)
    first = [f"<b>{number}</b> {label}<" for number, label in enumerate(layer_labels(report["layers"]))]
    assert len(set(layer_labels(report["layers"]))) == len(first) and all(label in html for label in first)


def test_a_page_for_several_models(tmp_path: Path) -> None:
    model, again = DIGITS / "digits_int8.tflite", tmp_path / "other.tflite"
    again.write_bytes(model.read_bytes())
    compile_together([model, again], Options(), output=tmp_path / "out")
    page = Figures((tmp_path / "out" / "report.html").read_text())
    assert [name for name in page.ids if "-" not in name] == ["digits_int8", "other"]


def test_a_report_of_an_older_version_still_gets_a_page(folder: Path, tmp_path: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    for key in ("arena", "graphs", "pareto", "board", "verify", "profile"):
        del report[key]
    for layer in report["layers"]:
        del layer["live_bytes"], layer["code_bytes"]
    (tmp_path / "report.json").write_text(json.dumps(report))
    write_html(tmp_path)
    assert Figures((tmp_path / "report.html").read_text()).figures


def test_energy_where_the_board_says_a_current(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    assert report["board"]["power"] is None and energy(report) is None and "<h2>Energy</h2>" not in page_of(report)
    report["board"]["power"] = {"volts": 3.0, "run_ma": [10, 20], "source": "a <datasheet>, table 7"}
    time, found = duration(report), energy(report)
    assert time is not None and found is not None
    assert (found.low, found.high) == pytest.approx((0.03 * time.low, 0.06 * time.high))
    html = page_of(report)
    assert found.text() in html and "10 to 20 mA and 3 V (a &lt;datasheet&gt;, table 7)" in html


@pytest.mark.parametrize("wrong", ["run_ma = [3, 2]", "run_ma = [0, 2]", "run_ma = [1]"])
def test_a_boards_current_is_a_range_with_a_source(wrong: str, tmp_path: Path) -> None:
    text = (
        (ROOT / "board_support" / "nrf52840" / "board.toml").read_text().replace('"board.c"', '"../common/systick.c"')
    )
    (tmp_path / "mine").mkdir()
    for current, fits in (("run_ma = [2, 3.5]", True), (wrong, False)):
        power = f'\n[power]\nvolts = 3.0\n{current}\nsource = "its datasheet"\n'
        (tmp_path / "mine" / "board.toml").write_text(text + power)
        if fits:
            assert load_board("mine", tmp_path).power == Power(3.0, (2.0, 3.5), "its datasheet")
        else:
            with pytest.raises(TargetError):
                load_board("mine", tmp_path)


def test_the_difference_as_a_page(folder: Path, tmp_path: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    arena = report["ram"]["arena_bytes"]
    report["ram"]["arena_bytes"], report["options"]["ram"] = arena - 100, 1024
    report["layers"][0]["weights_bytes"] += 7
    new, page = tmp_path / "new.json", tmp_path / "d.html"
    new.write_text(json.dumps(report))
    result = CliRunner().invoke(main, ["diff", str(folder), str(new), "--html", str(page)])
    assert result.exit_code == 0, result.output
    html = page.read_text()
    parsed = Figures(html)
    assert [r for r in parsed.references if not r.startswith(("data:", "#"))] == []
    assert not parsed.tags & {"script", "img", "iframe"}
    row = f'<td>arena<td class="n">{arena:,}<td class="n">{arena - 100:,}<td class="n good">-100<'
    assert row in html and re.search(r'<td>weights<td class="n">[\d,]+<td class="n">[\d,]+<td class="n bad">\+7<', html)
    assert "--ram: not given -&gt; 1,024" in html and html.count('class="map') == 2
    again = CliRunner().invoke(main, ["diff", str(new), str(new), "--html", str(page)])
    assert again.exit_code == 0 and "No layer's figures changed" in page.read_text()
    page.write_text("mine")
    refused = CliRunner().invoke(main, ["diff", str(folder), str(new), "--html", str(page)])
    assert refused.exit_code == 2 and page.read_text() == "mine"
