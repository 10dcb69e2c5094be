"""`inspect`, `check` and `diff`: figures and exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tests.conftest import DIGITS
from tests.frontend.models import X, Y, small_model
from tests.support.tflite_builder import SignatureSpec, SubgraphSpec, TfliteBuilder
from tinycompile.cli import main
from tinycompile.frontend import load
from tinycompile.frontend.survey import naive_peak, survey
from tinycompile.options import Options
from tinycompile.pipeline import compile_together
from tinycompile.report.difference import Change, labels_of, remarks, table
from tinycompile.report.table import print_report
from tinycompile.report.wrapping import fitted

MODEL = DIGITS / "digits_int8.tflite"
FLOAT = DIGITS / "digits.onnx"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands") / "out"
    compile_together([MODEL], Options(), output=folder)
    return folder


def test_inspect_says_what_a_model_holds() -> None:
    result = invoke("inspect", MODEL, "--json")
    assert result.exit_code == 0
    found, graph = json.loads(result.stdout), load(MODEL)
    assert [(t["shape"], t["dtype"]) for t in found["inputs"]] == [([1, 8, 8, 1], "int8")]
    assert [(t["shape"], t["bytes"]) for t in found["outputs"]] == [([1, 10], 10)]
    assert sum(found["operators"].values()) == len(graph.nodes)
    assert found["operators"]["CONV_2D"] == 4
    assert found["macs"] == graph.macs() == survey(MODEL).macs
    axes_of_mean = 2
    assert found["weights"]["values"] == sum(value.size for value in graph.constants.values()) + axes_of_mean
    assert found["supported"] is True
    text = invoke("inspect", MODEL).output
    assert f"{found['macs']:,}" in text
    assert f"{found['naive_peak_bytes']:,}" in text


def test_inspect_and_build_of_a_signature(tmp_path: Path) -> None:
    main, other = small_model(), TfliteBuilder()
    other.op("RELU", [other.tensor((1, 6), 0.5, 3, name="a")], [other.tensor((1, 6), 0.5, 3, name="b")])
    main.others = [SubgraphSpec(other, [0], [1])]
    main.signatures = [SignatureSpec("serve", {"x": X}, {"y": Y}), SignatureSpec("mix", {"p": 0}, {"q": 1}, 1)]
    path = tmp_path / "m.tflite"
    path.write_bytes(main.build([X], [Y]))
    found = json.loads(invoke("inspect", path, "--signature", "mix", "--json").stdout)
    assert found["operators"] == {"RELU": 1} and found["inputs"][0]["name"] == "a"
    text = invoke("inspect", path).output
    assert "note" in text and "--signature chooses another one: mix" in text
    result = invoke("build", path, "--signature", "mix", "--target", "host", "-o", tmp_path / "out", "--verbose")
    assert result.exit_code == 0 and "chooses another one: serve" in result.output
    assert "chooses" not in invoke("build", path, "--target", "host", "-o", tmp_path / "out").output
    assert invoke("inspect", path, "--signature", "mux").exit_code == 2
    wrong = invoke("inspect", FLOAT, "--signature", "mux", "--dtype", "float32")
    assert wrong.exit_code == 2 and "--signature is for .tflite models" in wrong.output


def test_inspect_of_a_float_model_says_that_it_needs_calibration() -> None:
    result = invoke("inspect", FLOAT, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["float"] is True
    assert "--calib" in found["remarks"][0]
    whole = json.loads(invoke("inspect", FLOAT, "--dtype", "float32", "--json").stdout)
    assert whole["naive_peak_bytes"] == 4 * found["naive_peak_bytes"]
    assert found["macs"] == survey(FLOAT).macs


def test_inspect_lists_everything_that_is_unsupported(tmp_path: Path) -> None:
    helper = onnx.helper
    x, y, z = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 4]) for n in "xyz")
    nodes = [
        helper.make_node("RandomUniformLike", ["x"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["y"], name="middle"),
        helper.make_node("Bernoulli", ["x"], ["z"], name="last"),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y, z])
    path = tmp_path / "odd.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    result = invoke("inspect", path, "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert [entry["operator"].split()[0] for entry in found["unsupported"]] == ["RandomUniformLike", "Bernoulli"]
    assert all(entry["reason"] for entry in found["unsupported"])
    text = invoke("inspect", path)
    assert text.exit_code == 2
    assert "RandomUniformLike" in text.output
    assert "Bernoulli" in text.output


def test_inspect_explains_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "no.tflite").write_bytes(b"nothing")
    result = invoke("inspect", tmp_path / "no.tflite")
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "name", ["ad01_int8.tflite", "kws_ref_model.tflite", "mcunet_vww.tflite", "kws_dscnn.onnx", "vww_mobilenet.onnx"]
)
def test_macs_of_the_file_are_those_of_the_graph(shared: Callable[[str], Path], name: str) -> None:
    path = shared(f"models/{name}")
    floats = "all" if name.endswith(".onnx") else "islands"
    assert survey(path).macs == load(path, floats=floats).macs()


def test_naive_peak() -> None:
    # x -> a -> b, x kept for c: a and x, then x, a, b, then x, b, c
    steps = [(("x",), ("a",)), (("a",), ("b",)), (("x", "b", "w"), ("c",))]
    sizes = {"x": 1, "a": 10, "b": 100, "c": 1000}
    assert naive_peak(iter(steps), {"x"}, {"c"}, sizes) == 1101


def test_check_within_and_over_the_budget(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    ram, flash = report["ram"]["total_bytes"], report["flash"]["total_bytes"]
    assert invoke("check", folder, "--max-ram", ram, "--max-flash", flash).exit_code == 0
    result = invoke("check", folder, "--max-ram", ram - 1, "--max-flash", flash)
    assert result.exit_code == 1
    assert "over by 1 " in result.output
    assert invoke("check", folder, "--max-flash", flash - 1).exit_code == 1


def test_check_counts_instructions_in_qemu(folder: Path) -> None:
    result = invoke("check", folder, "--max-instructions", "20M", "--json")
    assert result.exit_code == 0
    (found,) = json.loads(result.stdout)
    run = json.loads((folder / "report.json").read_text())["run"]
    assert found["value"] == max(run["instructions"], run["instructions_max"])
    assert found["limit"] == 20_000_000
    assert invoke("check", folder, "--max-instructions", found["value"]).exit_code == 0
    assert invoke("check", folder, "--max-instructions", found["value"] - 1).exit_code == 1


@pytest.mark.parametrize("arguments", [(), ("--max-ram", "0"), ("--max-instructions", "many")])
def test_check_explains_mistakes(folder: Path, arguments: tuple[str, ...]) -> None:
    assert invoke("check", folder, *arguments).exit_code == 2


def test_check_counts_nothing_on_the_host(tmp_path: Path) -> None:
    compile_together([MODEL], Options(target="host"), output=tmp_path / "out")
    result = invoke("check", tmp_path / "out", "--max-instructions", "1M")
    assert result.exit_code == 2
    assert "host" in result.output


def test_check_of_no_build(tmp_path: Path) -> None:
    assert invoke("check", tmp_path, "--max-ram", "1K").exit_code == 2


def test_diff_of_a_build_with_itself_and_with_another(folder: Path, tmp_path: Path) -> None:
    same = json.loads(invoke("diff", folder, folder, "--json").stdout)
    assert all(change["delta"] == 0 and change["layer"] is None for change in same["changes"])
    assert same["remarks"] == []
    compile_together([MODEL], Options(optimize="ram"), output=tmp_path / "lean")
    result = invoke("diff", folder / "report.json", tmp_path / "lean", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    old, new = (json.loads((f / "report.json").read_text()) for f in (folder, tmp_path / "lean"))
    totals = {change["what"]: change for change in found["changes"] if change["layer"] is None}
    assert totals["arena"]["delta"] == new["ram"]["arena_bytes"] - old["ram"]["arena_bytes"] < 0
    assert totals["flash"]["new"] == new["flash"]["total_bytes"]
    estimates = [sum(layer["instructions_estimate"] for layer in r["layers"]) for r in (old, new)]
    assert [totals["instructions (estimate)"][key] for key in ("old", "new")] == estimates
    layers = [change for change in found["changes"] if change["layer"] and "instructions" in change["what"]]
    assert sum(change["delta"] for change in layers) == totals["instructions (estimate)"]["delta"]
    assert "--optimize: balanced -> ram" in found["remarks"]
    text = invoke("diff", folder, tmp_path / "lean").output
    assert f"{totals['arena']['delta']:+,}" in text


def test_diff_calls_layers_what_the_code_calls_them() -> None:
    """Names in files may be paths, and those of fused layers the names of all parts."""
    name = " + ".join(f"net/attention/part_{number}" for number in range(7))
    layer = {"name": name, "op": "batch_matmul + softmax", "kernel": "a", "instructions_estimate": 5}
    report = {"layers": [layer], "options": {}, "source": {"sha256": ""}}
    other = report | {"layers": [layer | {"kernel": "b"}]}
    assert list(remarks(report, other)) == ["batch_matmul_softmax_1: a -> b"]
    changed = table([Change(name, "weights", 1, 2)], labels_of(report, other))
    assert list(changed.columns[0].cells) == ["batch_matmul_softmax_1"]


def test_diff_on_a_terminal_of_40_columns() -> None:
    """A total is called what it is a total of, a layer by its label; nothing is wider."""
    found = [Change("", "RAM", 5_088, 2_776), Change("conv", "instructions (estimate)", 14_296, 25_670)]
    out = Console(file=StringIO(), width=40, force_terminal=True, color_system=None)
    out.print(fitted(table(found, {"conv": "stem"}), out))
    assert isinstance(out.file, StringIO)
    lines = re.sub(r"\x1b\[\d*m", "", out.file.getvalue()).splitlines()
    assert max(map(len, lines)) <= 40
    words = [line.strip() for line in lines]
    assert words[:2] == ["RAM", "old 5,088, new 2,776,"] and "stem" in words and "-45.4 %" in " ".join(words)


@pytest.mark.parametrize(
    ("value", "says"), [("1Q", "65536, 64K or 1M; or auto, or 0 for none"), ("-5", "or 0 for none")]
)
def test_what_a_copy_in_faster_memory_may_be(value: str, says: str) -> None:
    result = invoke("build", MODEL, f"--fast-code={value}")
    assert result.exit_code == 2 and says in " ".join(result.output.split())


def test_diff_explains_a_file_that_is_no_report(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    result = invoke("diff", folder, tmp_path / "x.json")
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize("verbose", [False, True])
def test_a_report_on_a_narrow_terminal(folder: Path, verbose: bool) -> None:
    """Rows in place of a table whose names would be cut off; files and pipes have the table."""
    report, shown = json.loads((folder / "report.json").read_text()), StringIO()
    print_report(report, Console(file=shown, width=40, force_terminal=True, no_color=True), verbose=verbose)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue()).splitlines()
    assert all(len(line) <= 40 for line in lines if " " in line.strip())
    assert not any("…" in line for line in lines)
    heaviest = max(report["layers"], key=lambda layer: layer["instructions_estimate"])
    assert any(f"{heaviest['macs']:,}" in line for line in lines)
    piped = StringIO()
    print_report(report, Console(file=piped, width=100, no_color=True), verbose=verbose)
    assert any(re.search(r"MACs +(about )?instr", line) for line in piped.getvalue().splitlines())
