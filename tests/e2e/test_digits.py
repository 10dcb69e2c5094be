"""The project's own model, from the file to what it recognises; needs nothing outside the repository."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import DIGITS
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.dtypes import INT8
from tinycompile.toolchain import make

MODEL, SAMPLES = DIGITS / "digits_int8.tflite", DIGITS / "digits_samples.npz"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "out"
    result = CliRunner().invoke(main, ["build", str(MODEL), "--target", "stm32f746", "-o", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def test_recognises_digits_in_qemu_and_on_the_host(built: Path) -> None:
    data = np.load(SAMPLES)
    build = Build(built)
    host = build.run(data["input_0"])
    assert isinstance(host, np.ndarray)
    np.testing.assert_array_equal(host, data["output_0"])
    np.testing.assert_array_equal(build.run(data["input_0"], on="qemu"), data["output_0"])
    assert np.mean(host.argmax(axis=1) == data["labels"]) > 0.9


def test_run_writes_outputs_and_counts(built: Path, tmp_path: Path) -> None:
    output = tmp_path / "y.npz"
    arguments = ["run", str(built), "--input", str(SAMPLES), "--output", str(output), "--limit", "3"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(output)["output_0"], np.load(SAMPLES)["output_0"][:3])
    report = json.loads((built / "report.json").read_text())
    assert report["run"]["instructions"] > report["macs"]["executed"] // 4
    assert all(layer["instructions"] is not None for layer in report["layers"])


def test_a_single_npy_serves_a_one_input_model(built: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.load(SAMPLES)["input_0"][0])
    output = tmp_path / "y.npz"
    arguments = ["run", str(built), "--input", str(tmp_path / "x.npy"), "--output", str(output)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    np.testing.assert_array_equal(np.load(output)["output_0"], np.load(SAMPLES)["output_0"][:1])


def test_verify_compares_every_tensor(built: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="verify needs LiteRT")
    result = CliRunner().invoke(main, ["verify", str(built), "--samples", str(SAMPLES), "--limit", "5"])
    assert result.exit_code == 0, result.output
    assert "bit-exact: 5 samples" in result.output
    assert json.loads((built / "report.json").read_text())["verify"]["first_difference"] is None


def test_verify_names_the_first_layer_that_deviates(built: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="verify needs LiteRT")
    broken = tmp_path / "broken"
    shutil.copytree(built, broken)
    report = json.loads((broken / "report.json").read_text())
    code = broken / f"{report['model']}.c"
    lines = code.read_text().splitlines()
    third = next(i for i, line in enumerate(lines) if line.startswith("    LAYER_DONE(2, "))
    offset = report["layers"][2]["outputs"][0]["offset"]
    lines.insert(third, f"    *(uint8_t *)(arena + {offset}) ^= 1u;")
    code.write_text("\n".join(lines) + "\n")
    make(broken)
    result = CliRunner().invoke(main, ["verify", str(broken), "--samples", str(SAMPLES), "--limit", "1"])
    assert result.exit_code == 1
    assert report["layers"][2]["name"] in result.output


def test_the_folder_is_a_project(built: Path) -> None:
    for name in ("Makefile", "CMakeLists.txt", "firmware.elf", "firmware.bin", "firmware.hex", "firmware_qemu.elf"):
        assert (built / name).stat().st_size > 0, name


def test_model_header_and_kernel_headers_are_cplusplus(built: Path) -> None:
    headers = [built / "digits_int8.h", *sorted((built / "tinycompile").glob("*.h"))]
    source = "".join(f'#include "{path.resolve()}"\n' for path in headers) + "int main() { return 0; }\n"
    command = ["g++", "-x", "c++", "-std=c++11", "-Wall", "-Wextra", "-Wundef", "-Werror", "-fsyntax-only", "-"]
    subprocess.run(command, input=source, text=True, check=True)


def test_int8_io_is_the_default_of_an_int8_model(tmp_path: Path) -> None:
    build = tinycompile.compile(MODEL, output=tmp_path / "out")
    assert [t.dtype for t in (*build.inputs, *build.outputs)] == [INT8, INT8]
