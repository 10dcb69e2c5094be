"""A file where a folder is wanted, a folder where a model is wanted, models of other tools: each says what to give."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import DIGITS
from tinycompile.cli import main
from tinycompile.options import Options
from tinycompile.pipeline import compile_together

MODEL, FLOAT, SAMPLES = DIGITS / "digits_int8.tflite", DIGITS / "digits.onnx", DIGITS / "digits_samples.npz"

TAKES_FOLDER = {
    "run": ("--input", SAMPLES),
    "verify": ("--samples", SAMPLES),
    "bisect": ("--input", SAMPLES),
    "evaluate": ("--data", SAMPLES),
    "train": ("--data", SAMPLES),
    "profile": (),
    "bench": ("--port", "/dev/null"),
    "check": ("--max-ram", "64K"),
    "flash": (),
    "monitor": ("--port", "/dev/null"),
}
TAKES_MODEL = {
    "inspect": (),
    "cost": (),
    "build": ("-o", "/nowhere/out"),
    "plan": (),
    "quantize": ("--calib", DIGITS / "digits_calib.npz", "-o", "/nowhere/q.onnx"),
}


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def assert_explained(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output and "codec" not in result.output and "Errno" not in result.output
    assert "try:" in result.output, result.output
    for word in words:
        assert word in result.output, result.output


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paths") / "out"
    compile_together([MODEL], Options(target="host"), output=folder)
    return folder


def test_every_command_is_here() -> None:
    """A new command that takes a folder or a model is tested as well."""
    arguments = {
        name: [p.name for p in c.params if p.param_type_name == "argument"] for name, c in main.commands.items()
    }
    del arguments["new"]  # makes its folder
    folders = {name for name, found in arguments.items() if "folder" in found}
    models = {name for name, found in arguments.items() if {"model", "models"} & set(found)}
    assert folders == set(TAKES_FOLDER)
    assert models == set(TAKES_MODEL)


@pytest.mark.parametrize("command", TAKES_FOLDER)
def test_a_folder_is_wanted(command: str, build: Path, tmp_path: Path) -> None:
    rest = TAKES_FOLDER[command]
    assert_explained(invoke(command, MODEL, *rest), "file", f"tinycompile build {MODEL}")
    assert_explained(invoke(command, SAMPLES, *rest), "file", "output folder of a build")
    assert_explained(invoke(command, build / "digits_int8.c", *rest), str(build))
    assert_explained(invoke(command, tmp_path / "nowhere", *rest), "no such folder")
    assert_explained(invoke(command, build.parent / "typo", *rest), "out")
    (tmp_path / "model.onnx").write_bytes(b"")
    assert_explained(invoke(command, tmp_path, *rest), "not a tinycompile build", f"tinycompile build {tmp_path}")


@pytest.mark.parametrize("first", [True, False])
def test_diff(first: bool, build: Path, tmp_path: Path) -> None:
    for wrong in (MODEL, tmp_path / "nowhere", tmp_path):
        assert_explained(invoke("diff", *([wrong, build] if first else [build, wrong])))


def test_the_report_stands_for_its_folder(build: Path) -> None:
    assert invoke("run", build / "report.json", "--input", SAMPLES, "--limit", 1).exit_code == 0
    assert invoke("diff", build / "report.json", build).exit_code == 0


@pytest.mark.parametrize("command", TAKES_MODEL)
def test_a_model_is_wanted(command: str, build: Path, tmp_path: Path) -> None:
    rest = TAKES_MODEL[command]
    assert_explained(invoke(command, build, *rest), "output of a build", "digits_int8.tflite")
    assert_explained(invoke(command, tmp_path, *rest), "folder")
    (tmp_path / "net.tflite").write_bytes(b"")
    assert_explained(invoke(command, tmp_path, *rest), "net.tflite")
    assert_explained(invoke(command, tmp_path / "nowhere.onnx", *rest), "no such file", "net.tflite")


def archive(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, "")
    return content.getvalue()


FOREIGN = {
    "m.keras": (archive("config.json", "metadata.json", "model.weights.h5"), "from_keras_model"),
    "unnamed": (archive("config.json", "metadata.json", "model.weights.h5"), "from_keras_model"),
    "m.h5": (b"\x89HDF\r\n\x1a\n", "from_keras_model"),
    "m.pt": (archive("m/data.pkl", "m/version"), "torch.onnx.export"),
    "m.pth": (b"\x80\x02\x8a", "torch.onnx.export"),
    "m.pt2": (archive("archive/models/model.json"), "torch.export.load"),
    "m.pb": (b"\n\x10", "tf2onnx"),
    "m.safetensors": (b"\x08\0\0\0\0\0\0\0{}", "load_state_dict"),
    "m.mlir": (b"module {}", "export the model"),
    "m.zip": (archive("m.tflite"), "unpack"),
    "m.joblib": (b"\x80\x03", "skl2onnx"),
    "model_data.cc": (b"const unsigned char m[] = {0x1c, 0x00};", "re.findall"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("command", ["inspect", "build", "plan"])
def test_models_of_other_tools(name: str, command: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FOREIGN[name][0])
    assert_explained(invoke(command, path, *TAKES_MODEL[command]), FOREIGN[name][1], "reads .tflite and .onnx")


def test_a_saved_model(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    for command, rest in TAKES_MODEL.items():
        assert_explained(invoke(command, tmp_path, *rest), "from_saved_model", "representative_dataset")
    assert_explained(invoke("build", tmp_path, "--calib", DIGITS / "digits_calib.npz"), "from_saved_model")


def test_the_lines_that_turn_an_array_back_work(tmp_path: Path) -> None:
    """The only ones that need nothing but Python."""
    text = ", ".join(f"0x{byte:02x}" for byte in MODEL.read_bytes())
    (tmp_path / "digits.cc").write_text(f"const unsigned char g_model[] = {{ {text} }};\n")
    output = invoke("inspect", tmp_path / "digits.cc").output
    code = "\n".join(line[4:] for line in output.splitlines() if line.startswith("    "))
    code = code.replace('"digits.tflite"', repr(str(tmp_path / "digits.tflite")))
    exec(compile(code, "lines", "exec"))  # noqa: S102 - what we print ourselves
    assert (tmp_path / "digits.tflite").read_bytes() == MODEL.read_bytes()


def test_the_same_reason_has_the_same_exit_code(tmp_path: Path) -> None:
    import onnx

    from tests.support.onnx_builder import OnnxBuilder

    b = OnnxBuilder()
    b.output(b.node("RandomUniformLike", b.input((1, 4))))
    onnx.save(b.model(), str(tmp_path / "random.onnx"))
    (tmp_path / "broken.tflite").write_bytes(MODEL.read_bytes()[:99])
    for path in (tmp_path / "random.onnx", tmp_path / "broken.tflite", tmp_path / "nothing.onnx"):
        for command in ("inspect", "build", "plan"):
            result = invoke(command, path, *TAKES_MODEL[command], "--dtype", "float32")
            assert result.exit_code == 2, (command, path, result.output)
