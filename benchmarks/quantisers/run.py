"""`make quantisers`: the files that nine tools make of twelve nets, and what tinycompile makes of them.

Each tool gets a virtual environment of its own under build/quantisers, since what they need contradicts each other (10 GB in
all). Takes an hour; what is already there isn't made again. `--tools aimet nncf` runs some of them. litert-quantizer's files
are `.tflite`, and only compared by `benchmarks.quantisers.sqnr`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUNTIME = ("onnxruntime==1.32.0",)
TORCH = ("torch==2.13.0",)
EXPORT = (*TORCH, *RUNTIME, "onnx==1.23.2", "onnxscript==0.7.2")

TOOLS: dict[str, tuple[str, ...]] = {
    "nets": (*EXPORT, "scipy"),
    "onnxruntime": ("onnx==1.23.2", *RUNTIME, "sympy", "scipy"),
    "optimiser": ("onnx==1.23.2", *RUNTIME),
    "nncf": ("nncf==3.4.0", "onnx", *RUNTIME),
    "brevitas": (*EXPORT, "brevitas==0.13.4", "onnxoptimizer==0.4.2"),
    "aimet": (*TORCH, "aimet-onnx==2.42.0"),
    "quark": (*TORCH, *RUNTIME, "onnx", "amd-quark==0.13"),
    "torchao": (*EXPORT, "torchao==0.18.0"),
    "esp_ppq": (*TORCH, *RUNTIME, "esp-ppq==1.3.12"),
    "litert_quantizer": ("torch==2.14.1", "litert-torch==0.10.0", "litert-quantizer==0.11.0"),
    "tinycompile": (),
}
"""In the order in which they run; what to install for each. tinycompile runs in the environment of this script."""


def environment(folder: Path, packages: tuple[str, ...]) -> Path:
    """The Python of an environment with these packages."""
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join(packages)
    if not stamp.is_file() or stamp.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        stamp.write_text(wanted)
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "quantisers")
    parser.add_argument("--tools", nargs="*", default=list(TOOLS), choices=list(TOOLS))
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    nets, files = folder / "nets", folder / "files"
    for tool in options.tools:
        packages = TOOLS[tool]
        python = environment(folder / f"venv_{tool}", packages) if packages else Path(sys.executable)
        script = HERE / ("nets.py" if tool == "nets" else f"tool_{tool}.py")
        arguments = [str(nets)] if tool == "nets" else [str(nets), str(files)]
        paths = {"PYTHONPATH": str(ROOT), "TORCH_EXTENSIONS_DIR": str(folder / "extensions")}
        subprocess.run([python, script, *arguments], cwd=folder, env={**os.environ, **paths}, check=True)
    command = [sys.executable, "-m", "benchmarks.quantisers.check", str(nets), str(files), "--floats"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
