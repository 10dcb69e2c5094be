"""Files and folders that aren't .tflite or .onnx models: what they are, and the lines that make a model of them."""

from __future__ import annotations

import re
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path

from tinycompile.errors import ModelFileError

MODELS = (".tflite", ".lite", ".onnx")
_BUILD = "report.json"


def check_model_path(path: Path) -> None:
    """That a path can be a model file.

    Raises:
        ModelFileError: there is nothing, a folder, an empty file, or a model of another format than its name says, or
            of one that isn't read; it says how to convert that.
    """
    if not path.exists():
        raise ModelFileError("there is no such file", where=str(path), hint=_near_by(path))
    if path.is_dir():
        raise _folder(path)
    if path.suffix.lower() in MODELS:
        _check_name(path)
        return
    kind = _kind(path)
    if kind is not None:
        what, lines = _FOREIGN[kind]
        raise ModelFileError(what, where=str(path), why="tinycompile reads .tflite and .onnx", hint=lines(path))


def _check_name(path: Path) -> None:
    head = _head(path)
    if head == b"":
        raise ModelFileError(
            "the file is empty", where=str(path), hint="whatever should have written it may have failed"
        )
    onnx = path.suffix.lower() == ".onnx"
    if onnx and head[4:] == b"TFL3":
        raise ModelFileError("a TFLite model by the name of an ONNX one", where=str(path), hint="name it .tflite")
    if not onnx and head[4:] != b"TFL3" and _ONNX.match(head):
        raise ModelFileError("an ONNX model by the name of a TFLite one", where=str(path), hint="name it .onnx")


_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x3a\x42]")
"""How ONNX files begin: the number of their format, and the name of what wrote them, or the graph."""


def _head(path: Path) -> bytes:
    """The first bytes, with the identifier of a flatbuffer; a file that can't be read is somebody else's error."""
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError:
        return b"unread"


def _near_by(path: Path) -> str:
    """Models beside where the file should be."""
    try:
        found = sorted(p.name for p in path.parent.iterdir() if p.suffix.lower() in MODELS)[:5]
    except OSError:
        return f"there is no folder {str(path.parent)!r} either"
    return f"in that folder are: {', '.join(found)}" if found else "give the path of a .tflite or .onnx file"


def _folder(path: Path) -> ModelFileError:
    if (path / "saved_model.pb").exists():
        what, lines = "a TensorFlow SavedModel, which has to be converted", _saved_model(path)
        return ModelFileError(what, where=str(path), why="tinycompile reads .tflite and .onnx", hint=lines)
    what = "this is a folder, a model file is wanted"
    if (path / _BUILD).exists():
        source = next(iter(sorted((path / "source").glob("*"))), None)
        hint = "it is the output of a build" + ("" if source is None else f", whose model is {source}")
        return ModelFileError(what, where=str(path), hint=hint)
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in (*MODELS, ".keras", ".h5", ".pt"))[:5]
    hint = f"it has {', '.join(map(str, found))}" if found else "give the path of a .tflite or .onnx file"
    return ModelFileError(what, where=str(path), hint=hint)


def _kind(path: Path) -> str | None:
    """By its content where that tells, else by its name; None for what may be anything."""
    suffix = path.suffix.lower()
    head = _head(path)
    if head.startswith(b"\x89HDF"):
        return ".h5"
    if head.startswith(b"PK"):
        return _zip_kind(path, suffix)
    if head[4:] in (b"TFL3", b"ET12", b"ET13"):
        return ".pte" if head[4:6] == b"ET" else None
    return suffix if suffix in _FOREIGN else None


def _zip_kind(path: Path, suffix: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rsplit("/", 1)[-1] for name in archive.namelist()[:10000]}
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        names = set[str]()
    if {"config.json", "metadata.json"} <= names:
        return ".keras"
    if "data.pkl" in names:
        return ".pt"
    return suffix if suffix in _FOREIGN else ".zip"


def _lines(*lines: str) -> str:
    return "".join(f"\n    {line}" for line in lines)


_QUANTISE = (
    "converter.optimizations = [tf.lite.Optimize.DEFAULT]",
    "converter.representative_dataset = lambda: ([x[None]] for x in samples)  # float32, some real inputs",
)


def _to_tflite(path: Path, converter: str) -> str:
    return "these lines make an int8 .tflite of it:" + _lines(
        "import tensorflow as tf",
        f"converter = tf.lite.TFLiteConverter.{converter}",
        *_QUANTISE,
        f'open("{path.stem}.tflite", "wb").write(converter.convert())',
    )


def _keras(path: Path) -> str:
    return _to_tflite(path, f'from_keras_model(tf.keras.models.load_model("{path}"))')


def _saved_model(path: Path) -> str:
    return _to_tflite(path, f'from_saved_model("{path}")')


def _onnx_of(path: Path, *lines: str) -> str:
    name = f"{path.stem}.onnx"
    return "these lines make an .onnx of it, which `tinycompile build --calib` quantises:" + _lines(
        *lines, f'torch.onnx.export(model, (torch.zeros(1, 3, 96, 96),), "{name}")  # the shape of your input'
    )


def _torch(path: Path) -> str:
    return _onnx_of(
        path,
        "import torch",
        f'model = torch.load("{path}", weights_only=False).eval()  # only weights in it: build the model, '
        "then model.load_state_dict(...)",
    )


def _torch_program(path: Path) -> str:
    return _onnx_of(path, "import torch", f'model = torch.export.load("{path}").module()')


def _safetensors(path: Path) -> str:
    load = f'model.load_state_dict(safetensors.torch.load_file("{path}"))  # its class is code'
    return "it holds weights without a model; " + _onnx_of(path, "import torch, safetensors.torch", load)


def _frozen(path: Path) -> str:
    made = shlex.quote(f"{path.stem}.onnx")
    return "these lines make an .onnx of it (the tensors' names are the graph's):" + _lines(
        "pip install tf2onnx",
        f"python -m tf2onnx.convert --graphdef {shlex.quote(str(path))} --inputs x:0 --outputs y:0 --output {made}",
        f"tinycompile build {made} --calib calib.npz",
    )


def _scikit(path: Path) -> str:
    return "these lines make an .onnx of it:" + _lines(
        "import joblib, skl2onnx",
        f'model = joblib.load("{path}")',
        f'open("{path.stem}.onnx", "wb").write(skl2onnx.to_onnx(model, samples[:1]).SerializeToString())',
    )


def _c_array(path: Path) -> str:
    return "a TFLite model as a C array is turned back into the file by:" + _lines(
        "import re, pathlib",
        f'text = pathlib.Path("{path}").read_text()',
        'content = bytes(int(n, 16) for n in re.findall(r"0x([0-9a-fA-F]{2})\\b", text))',
        f'pathlib.Path("{path.stem}.tflite").write_bytes(content)',
    )


def _source_format(path: Path) -> str:
    return "export the model that it was made of as .onnx or .tflite"


_WHAT: dict[str, tuple[tuple[str, ...], str, Callable[[Path], str]]] = {
    "keras": ((".keras", ".h5", ".hdf5"), "a Keras model, which has to be converted", _keras),
    "torch": ((".pt", ".pth", ".ckpt"), "a PyTorch model, which has to be converted", _torch),
    "program": ((".pt2",), "an exported PyTorch program, which has to be converted", _torch_program),
    "weights": ((".safetensors",), "weights without a model", _safetensors),
    "frozen": ((".pb", ".pbtxt"), "a TensorFlow graph, which has to be converted", _frozen),
    "scikit": ((".pkl", ".pickle", ".joblib"), "a pickled model, which has to be converted", _scikit),
    "array": ((".c", ".cc", ".cpp", ".h"), "C code, not a model file", _c_array),
    "archive": (
        (".zip", ".tar", ".gz", ".tgz", ".7z", ".xz"),
        "an archive",
        lambda _: "unpack it; give the model in it",
    ),
    "samples": (
        (".npz", ".npy"),
        "NumPy arrays, not a model",
        lambda _: "give the model; samples go with --calib, --eval or --samples",
    ),
    "compiled": (
        (".mlir", ".pte", ".ptl", ".mlmodel", ".mlpackage", ".engine", ".xml", ".param", ".json", ".rknn", ".espdl"),
        "a model of another tool's own format",
        _source_format,
    ),
}
_FOREIGN = {suffix: (what, lines) for suffixes, what, lines in _WHAT.values() for suffix in suffixes}
