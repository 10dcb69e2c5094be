"""`--width`: one network at several widths, whose weights are the widest one's; bit-exact at each."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.reliability.programs import STRICT
from tests.support.full import also
from tests.support.slimmable_models import Slimmable
from tinycompile import pipeline
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.codegen.emit import emit_project
from tinycompile.codegen.slimmable import with_widths
from tinycompile.errors import TinycompileWarning, UsageError
from tinycompile.host import HostModel
from tinycompile.interpreter import run
from tinycompile.kernels.array_pieces import Lender
from tinycompile.lowering import imported, lower, project_of, ready, with_sources
from tinycompile.options import Options
from tinycompile.pipeline import FirmwareTooLargeError
from tinycompile.profile.layers import layer_lines
from tinycompile.report.widths import width_lines
from tinycompile.slimmable import check_sharing, flash_bytes, placed_together
from tinycompile.toolchain import RegionOverflowError
from tinycompile.verify.compare import verify_build

NET = Slimmable((("conv", 16, 3, 2), ("depthwise", 16, 3, 1), ("conv", 64, 3, 1)), (1, 6, 6))
SHARES = (1.0, 0.5, 0.25)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return NET.saved(tmp_path_factory.mktemp("slimmable"), SHARES)


def options_of(files: list[Path], target: str = "stm32f103", **others) -> Options:
    return Options.of(target, widths=dict(zip(SHARES[1:], files[1:], strict=True)), **others)


def read(source: Path):
    return imported(source, Options())


PROGRAM = """
#include "net_100.h"
#include <stdio.h>

static net_100_context context;

int main(void)
{
    static const float input[NET_100_INPUT_0_ELEMENTS] = {%s};
    float output[NET_100_OUTPUT_0_ELEMENTS];
    if (net_100_invoke(&context) == NET_100_OK || net_100_init(&context) != NET_100_OK) {
        return 1;
    }
    if (net_100_set_width(&context, NET_100_WIDTHS) != NET_100_ERROR_WIDTH || net_100_check(&context) != NET_100_OK) {
        return 2;
    }
    context.width = NET_100_WIDTHS; /* damaged */
    if (net_100_check(&context) != NET_100_ERROR_INIT || net_100_invoke(&context) != NET_100_ERROR_INIT) {
        return 6;
    }
    for (int32_t turn = 0; turn < 2 * NET_100_WIDTHS; turn++) {
        const int32_t width = turn %% NET_100_WIDTHS;
        if (net_100_set_width(&context, width) != NET_100_OK || net_100_width(&context) != width) {
            return 3;
        }
        if (net_100_run(&context, input, output) != NET_100_OK) {
            return 4;
        }
        for (int32_t i = 0; i < NET_100_OUTPUT_0_ELEMENTS; i++) {
            if (output[i] != net_100_output_0(&context)[i]) {
                return 5;
            }
            (void)printf("%%a ", (double)output[i]);
        }
        (void)printf("\\n");
    }
    return 0;
}
"""


def test_every_width_computes_its_own_network_through_one_interface(files: list[Path], tmp_path: Path) -> None:
    options = options_of(files)
    options.check()
    board = options.board()
    lowered, layout = lower(files, board, options)
    assert [each.name for each in lowered] == ["net_100_w100", "net_100_w50", "net_100_w25"]
    alone, _ = lower(files[:1], board, Options.of("stm32f103"))
    assert [k.variant for k in lowered[0].planned.kernels] == [k.variant for k in alone[0].planned.kernels]
    assert lowered[0].planned.instructions == alone[0].planned.instructions
    project = with_widths(project_of(board, layout, with_sources(lowered, options)), options.width_labels)
    printed = emit_project(project)
    for name, text in printed.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    layers, widths = printed["net_100_layers.h"], [f"net_100_w{label}" for label in options.width_labels]
    code = [name for name in printed if name.endswith(".c") and "/" not in name]
    assert sorted(code) == sorted(["net_100.c", *(f"{width}_weights.c" for width in widths)])
    functions = re.findall(r"^LAYER (\w+)\(", layers, re.MULTILINE)
    assert len(set(functions)) == len(functions)
    common = [{named.name for named in program.functions} for program in project.programs]
    assert any(a & b for a, b in combinations(common, 2)), "functions of the same text are one"
    names = {(named.function, named.name) for program in project.programs for named in program.functions}
    assert len(names) == len({function for function, _ in names}) == len({name for _, name in names})
    for width, program in zip(widths, project.programs, strict=True):
        lines = layer_lines(printed[f"{width}_inference.h"], width)
        assert set(lines.values()) >= {layer.index for layer in program.layers if layer.function}
    x = np.random.default_rng(0).normal(0, 2, (1, 1, 6, 6)).astype(np.float32)
    (tmp_path / "program.c").write_text(PROGRAM % ", ".join(float(value).hex() + "f" for value in x.ravel()))
    sources = ["program.c", *(str(path) for path in tmp_path.glob("net_100*.c"))]
    subprocess.run(["gcc", *STRICT, "-O1", "-DTC_PORTABLE", *sources, "-lm", "-o", "run"], check=True, cwd=tmp_path)
    results = subprocess.run([tmp_path / "run"], check=True, capture_output=True, text=True).stdout.splitlines()
    for file, line, again in zip(files, results[:3], results[3:], strict=True):
        graph = imported(file, Options())
        (expected,) = run(graph, {graph.inputs[0]: x.reshape(graph.types[graph.inputs[0]].shape)})[graph.outputs[0]]
        assert line == again
        assert [float.fromhex(value) for value in line.split()] == expected.ravel().tolist()
    graph, arena = lowered[2].planned.graph, lowered[2].planned.arena_bytes
    types = [[graph.types[name] for name in names] for names in (graph.inputs, graph.outputs)]
    host = HostModel(tmp_path, lowered[2].name, *types, arena, ("-O0",), unit="net_100")
    (found,) = host.run([x.reshape(types[0][0].shape)])
    np.testing.assert_array_equal(found.ravel(), expected.ravel())


@dataclass(frozen=True)
class Stub:
    """Plans that take what they want or have room for, and no less than some bytes."""

    wanted: int
    least: int
    room_together: int
    room: int = 10**6
    fast: int = 1

    def with_room(self, room: int) -> Stub:
        return replace(self, room=room)

    def sharing(self, lender: Lender, spare: int, *, thrifty: bool) -> Stub:
        return self if thrifty else replace(self, wanted=self.fast * self.wanted)

    @property
    def planned(self) -> SimpleNamespace:
        size = max(self.least, min(self.wanted, self.room))
        return SimpleNamespace(kernels=(), constants=[], constant_bytes=size, arena_bytes=0)


@pytest.mark.parametrize(
    ("flash", "sizes"), [(40000, [20000, 8000, 4000]), (30000, [20000, 5466, 2733]), (25000, [17200, 4000, 2000])]
)
def test_where_flash_is_short_narrower_networks_do_with_less_before_the_widest_does(flash, sizes) -> None:
    stubs = [Stub(20000, 5000, flash), Stub(8000, 4000, flash), Stub(4000, 2000, flash)]
    found, _ = placed_together(stubs, lambda some: ([each.planned for each in some], None))  # type: ignore[arg-type]
    assert [each.constant_bytes for each in found] == sizes
    assert flash_bytes(found) <= flash


@pytest.mark.parametrize(("flash", "narrower"), [(30000, 8000), (40000, 16000)])
def test_for_speed_more_is_shared_only_where_flash_is_short(flash: int, narrower: int) -> None:
    stubs = [Stub(20000, 5000, flash), Stub(8000, 4000, flash, fast=2)]
    found, _ = placed_together(stubs, lambda some: ([each.planned for each in some], None))  # type: ignore[arg-type]
    assert [each.constant_bytes for each in found] == [20000, narrower]


def test_widths_that_the_linker_has_no_room_for_are_planned_in_less_flash(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spared = list[int]()

    def too_large_at_first(_board, _layout, _lowered, options: Options, *_others) -> list[Build]:
        spared.append(options.flash_spare)
        if len(spared) == 1:
            raise RegionOverflowError(["ld: region `FLASH' overflowed by 100 bytes"])
        return []

    monkeypatch.setattr(pipeline, "_build", too_large_at_first)
    pipeline.compile_together(files[:1], Options.of("stm32f103", widths={0.5: files[1]}))
    assert spared == [0, 100]
    spared.clear()
    with pytest.raises(RegionOverflowError, match="does not fit"):
        pipeline.compile_together(files[:1], Options.of("stm32f103"))


def test_what_cannot_be_a_width_is_said(files: list[Path]) -> None:
    for others, message in (
        ({"weights": "separate"}, "--width doesn't go with --weights separate"),
        ({"steps": "5%"}, "--width doesn't go with --steps"),
        ({"calib": "x.npz"}, "--width doesn't go with --calib"),
        ({"slide": "x"}, "--width doesn't go with --slide"),
    ):
        with pytest.raises(UsageError, match=message):
            options_of(files, **others).check()
    too_large = FirmwareTooLargeError(2000, 1000, options_of(files))
    assert "--optimize size, a larger --flash" in str(too_large) and "--compress-weights" not in str(too_large)
    options = options_of(files, "host")
    with pytest.raises(UsageError, match=r"a build for the host has one width"):
        lower(files, options.board(), options)
    for share, message in (
        (1.5, "--width 1.5 isn't between 0 and 1"),
        (1 - 1e-7, "--width 0.9999999 can't be told from the widest network"),
        (1e-7, "--width 1e-07 is too narrow to be named"),
    ):
        with pytest.raises(UsageError, match=message):
            Options.of(widths={share: files[1]}).check()
    options = options_of([files[0], *files[:0:-1]])
    with pytest.raises(UsageError, match=r"more weights than net_\d+.onnx.*\n.* bytes here, .*\n.*widest"):
        lower([files[0], *files[:0:-1]], options.board(), options)
    result = CliRunner().invoke(main, ["build", str(files[0]), "--width", "0.5"])
    assert "names no file; write 0.5=half.onnx" in result.output


def test_the_plan_of_several_widths_is_printed(files: list[Path]) -> None:
    result = CliRunner().invoke(main, ["plan", str(files[0]), "--width", f"0.5={files[1]}", "--json"])
    models = json.loads(result.output)["models"]
    assert [model["model"] for model in models] == ["net_100_w100", "net_100_w50"]
    assert models[1]["instructions_estimate"] < models[0]["instructions_estimate"]
    lines = CliRunner().invoke(main, ["cost", str(files[0]), "--width", f"0.5={files[1]}"]).output.splitlines()
    (first,) = (number for number, line in enumerate(lines) if line.split()[:2] == ["width", "arena"])
    assert [line.split()[:3] for line in lines[first + 1 : first + 3]] == [
        [percent, "%", f"{model['arena_bytes']:,}"] for percent, model in zip(("100", "50"), models, strict=True)
    ]
    for others, message in (
        (["--measure", "all"], "--width doesn't go with --measure all"),
        ([str(files[2])], "--width is for a single model"),
    ):
        result = CliRunner().invoke(main, ["cost", str(files[0]), "--width", f"0.5={files[1]}", *others])
        assert message in result.output and result.exit_code
    with pytest.raises(UsageError, match="a graph has no widths"):
        tinycompile.cost(imported(files[0], Options()), widths={0.5: files[1]})
    with pytest.raises(UsageError, match="--width doesn't go with exact=False"):
        tinycompile.cost(files[0], widths={0.5: files[1]}, exact=False)


def test_one_layer_in_common_is_enough_to_be_a_width(files: list[Path], tmp_path: Path) -> None:
    partly, other = Slimmable(NET.layers, NET.shape), Slimmable(NET.layers, NET.shape, seed=9)
    partly.weights = [partly.weights[0], *other.weights[1:]]
    sources = [files[0], *(net.saved(tmp_path, (share,))[0] for net, share in ((partly, 0.5), (other, 0.25)))]
    planned = [SimpleNamespace(graph=read(source), constants=[]) for source in sources]
    with pytest.warns(TinycompileWarning, match=r"that it could share are too few, and \d+% of the weights of layer"):
        check_sharing(sources[:2], planned[:2], read)
    with pytest.raises(UsageError, match=r"no weights of it are parts of net_100.onnx's"):
        check_sharing([files[0], sources[2]], [planned[0], planned[2]], read)


def test_constant_channels_that_each_width_has_others_of_are_no_other_weights(tmp_path: Path) -> None:
    sparse = Slimmable((("conv", 48, 1, 1), ("conv", 24, 1, 1)), (4, 4, 4), classes=3)
    for weights in sparse.weights:
        weights[np.random.default_rng(7).random(weights.shape) < 0.8] = 0
    sources = sparse.saved(tmp_path, (1.0, 0.5))
    planned = [SimpleNamespace(graph=ready(read(source), Options()), constants=[]) for source in sources]
    with pytest.warns(
        TinycompileWarning, match="net_50.onnx shares no weights: channels that are constant are left out"
    ):
        check_sharing(sources, planned, read)


@pytest.mark.parametrize("target", also("stm32f103"))
def test_networks_that_share_nothing_are_said(target: str, files: list[Path], tmp_path: Path) -> None:
    (other,) = Slimmable(NET.layers, NET.shape, seed=9).saved(tmp_path, (0.5,))
    options = Options.of(target, widths={0.5: other})
    with pytest.raises(UsageError, match=r"no weights of it are parts of net_100.onnx's") as found:
        lower([files[0], other], options.board(), options)
    assert "are others than those of" in str(found.value)
    (fewer,) = Slimmable(NET.layers, NET.shape, classes=4).saved(tmp_path, (0.5,))
    with pytest.raises(UsageError, match="the outputs are others than the widest network's"):
        lower([files[0], fewer], options.board(), options)


@pytest.mark.parametrize("target", also("stm32f103", "stm32f746", "mps3-an547"))
def test_the_firmware_is_bit_exact_at_every_width(target: str, files: list[Path], tmp_path: Path) -> None:
    half = tmp_path / files[0].name  # as the widest one's, which is elsewhere
    half.write_bytes(files[1].read_bytes())
    build = tinycompile.compile(files[0], target, output=tmp_path / "out", widths={0.5: half, 0.25: files[2]})
    alone = tinycompile.compile(files[0], target, output=tmp_path / "alone")
    x = np.random.default_rng(1).normal(0, 2, (2, 1, 1, 6, 6)).astype(np.float32)
    reports, counts = list[dict](), list[int]()
    for label in ("100", "50", "25"):
        width = Build(build.folder, model=f"net_100_w{label}")
        assert verify_build(width, [x]).difference is None
        executed = width.execute([x])
        counts.append(executed.instructions[0])
        np.testing.assert_array_equal(width.run(x), executed.outputs[0].reshape(2, -1))
        reports.append(Build(build.folder, model=width.model).report)
    assert [report["width"]["percent"] for report in reports] == [100, 50, 25]
    assert reports[0]["width"]["shared_bytes"] == 0 < reports[2]["width"]["shared_bytes"]
    constants = sum(report["width"]["constant_bytes"] for report in reports[1:])
    shared = sum(report["width"]["shared_bytes"] for report in reports[1:])
    assert shared > (constants if target == "stm32f746" else 0)
    assert reports[0]["flash"]["weights_bytes"] == alone.report["flash"]["weights_bytes"] + constants
    assert len(list(width_lines(reports))) == 4
    estimate, whole = (
        tinycompile.cost(files[0], target, widths={0.5: half, 0.25: files[2]}, measure=measure)
        for measure in ("none", "whole")
    )
    ram, flash, widths = reports[0]["ram"], reports[0]["flash"], [report["width"] for report in reports]
    assert (whole.ram_bytes, whole.flash_bytes) == (ram["total_bytes"], flash["total_bytes"])
    assert [each.instructions for each in whole.widths] == pytest.approx(counts, rel=0.01)  # of other samples
    assert [(each.percent, each.weights_bytes, each.shared_bytes, each.instructions) for each in estimate.widths] == [
        (w["percent"], w["constant_bytes"], w["shared_bytes"], w["instructions_estimate"]) for w in widths
    ]
    assert [each.arena_bytes for each in estimate.widths] == [report["ram"]["arena_bytes"] for report in reports]
    assert estimate.arena_bytes == max(each.arena_bytes for each in estimate.widths) == whole.arena_bytes
    page = (build.folder / "report.html").read_text()
    assert 'aria-label="widths"' in page
    cards = [card.partition('<p class="detail">of this one')[0] for card in page.split("<h2>RAM</h2>")[1:]]
    for card in cards:  # the total, the limit, and what the total consists of
        total, _, *parts = map(int, re.findall(r'<data value="(\d+)"', card))
        assert total == sum(parts) == ram["total_bytes"]
    assert len(cards) == len(reports)
