"""Inferences in steps: the same outputs whatever the budget, in QEMU and here; what gives them up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import DIGITS, SHARED
from tests.support.full import FULL
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.errors import UsageError

MODEL = DIGITS / "digits_int8.tflite"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """With fewer RAM than layers need: stages as well as pieces."""
    folder = tmp_path_factory.mktemp("steps") / "out"
    return tinycompile.compile(MODEL, "host", output=folder, steps="8%", ram=1900, pareto=False)


def random_input(build: Build, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, build.inputs[0].shape).astype(np.int8)


def test_outputs_are_those_of_an_inference_in_one_piece(host: Build) -> None:
    steps = host.report["steps"]
    assert host.report["schedule"] != "layer"
    assert steps["pieces"]
    assert steps["count"] > 12
    for seed, budget in enumerate((0, steps["longest"], 3 * steps["longest"], 2**32 - 1)):
        x = random_input(host, seed)
        expected = host.host.run([x])
        assert host.host.steps_left == steps["total"]
        host.host.begin([x])
        returns = 1
        while (found := host.host.step(budget)) is None:
            assert 0 < host.host.steps_left < steps["total"]
            returns += 1
        assert np.array_equal(found[0], expected[0])
        if budget == 0:
            assert returns == steps["count"]
        elif budget > steps["total"]:
            assert returns == 1
        else:
            assert steps["total"] / budget <= returns < steps["count"]


def test_an_inference_in_one_piece_gives_up_one_in_steps(host: Build) -> None:
    x, other = random_input(host, 1), random_input(host, 2)
    expected = host.host.run([x])
    host.host.begin([other])
    assert host.host.step(0) is None
    assert np.array_equal(host.host.run([x])[0], expected[0])
    assert host.host.steps_left == host.report["steps"]["total"]
    host.host.begin([other])
    assert host.host.step(0) is None
    host.host.reset()
    host.host.begin([x])
    found = None
    while found is None:
        found = host.host.step(10_000)
    assert np.array_equal(found[0], expected[0])


@pytest.mark.parametrize(("compiler", "file"), [(["cc", "-std=c99"], "c"), (["c++", "-xc++"], "h")])
def test_c_and_cpp_without_warnings(host: Build, compiler: list[str], file: str) -> None:
    flags = ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-Wno-sign-conversion", "-fsyntax-only", "-I", "."]
    subprocess.run([*compiler, *flags, f"{host.model}.{file}"], cwd=host.folder, check=True)


@pytest.mark.skipif(not FULL, reason="builds once more: test-full")
def test_in_qemu_by_the_command_line(tmp_path: Path) -> None:
    out, samples = tmp_path / "out", tmp_path / "x.npz"
    runner = CliRunner()
    built = runner.invoke(
        main, ["build", str(MODEL), "--target", "mps2-an386", "-o", str(out), "--steps", "--no-pareto"]
    )
    assert built.exit_code == 0, built.output
    assert "steps  " in built.output
    np.savez(samples, input_0=random_input(Build(out), 3)[None])
    ran = runner.invoke(main, ["run", str(out), "--samples", str(samples), "--budget", "0"])
    assert ran.exit_code == 0, ran.output
    assert "the same outputs" in ran.output
    report = Build(out).report
    measured, estimated = report["run_steps"], report["steps"]
    assert measured["returns"] == estimated["count"]
    assert measured["longest"] == pytest.approx(estimated["longest"], rel=0.15)
    assert measured["instructions"] < 1.01 * report["run"]["instructions"]


@pytest.mark.skipif(not SHARED.exists(), reason="no shared models")
@pytest.mark.parametrize(("model", "options"), [("mbv2.int8", {"schedule": "patch"}), ("embedding.int8", {})])
def test_patches_and_layers_that_compute_nothing(model: str, options: dict[str, str], tmp_path: Path) -> None:
    """What follows the last patch has one scope with it; a reshape is no layer to divide, however small the limit."""
    file = SHARED / "cases" / "tflite" / f"{model}.tflite"
    build = tinycompile.compile(file, "host", output=tmp_path / "out", steps="2%", pareto=False, **options)  # pyright: ignore[reportArgumentType]
    assert build.report["schedule"] == options.get("schedule", "layer")
    x = [array[0] for array in build.samples(file.with_suffix(".npz"), 1)]
    expected = build.host.run(x)
    build.host.begin(x)
    found = None
    while found is None:
        found = build.host.step(0)
    assert np.array_equal(found[0], expected[0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"steps": "fast"}, "no limit"),
        ({"steps": "5%", "train": "head"}, "doesn't go with --train"),
        ({"steps": "5%", "weights": "separate"}, "doesn't go with --weights"),
    ],
)
def test_what_does_not_go_together(options: dict[str, str], text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=text):
        tinycompile.compile(MODEL, output=tmp_path / "out", **options)  # pyright: ignore[reportArgumentType]


@pytest.mark.skipif(not FULL, reason="builds once more: test-full")
def test_a_build_without_steps_has_none(tmp_path: Path) -> None:
    build = tinycompile.compile(MODEL, "host", output=tmp_path / "out", pareto=False)
    assert "invoke_steps" not in "".join((build.folder / f"{build.model}.{end}").read_text() for end in "hc")
    assert build.report["steps"] is None
    with pytest.raises(UsageError, match="has no steps"):
        build.execute_in_steps([], 0)
