"""What the scripts of all tools share: which nets there are, their samples, where the results go.

A tool has one function, from a float net and a setting to a file. `python tool_NAME.py NETS FILES [net …]` writes
FILES/NAME/NET.SETTING.onnx, or .tflite; what a tool can't do is a line of FILES/NAME/failures.txt and no error.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Net:
    """A float net as nets.py wrote it."""

    name: str
    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / f"{self.name}.onnx"

    @property
    def calibration(self) -> np.ndarray:
        """(64, ...) float32."""
        with np.load(self.folder / f"{self.name}.npz") as samples:
            return samples["calib"]

    def module(self) -> Any:
        """The PyTorch module, for the tools that start from it."""
        import torch  # not in every tool's environment
        from nets import NETS

        module = NETS[self.name][0]()
        module.load_state_dict(torch.load(self.folder / f"{self.name}.pt"))
        return module.eval()


class Reader:
    """The calibration samples one by one, as onnxruntime's and Quark's quantisers ask for them."""

    def __init__(self, net: Net) -> None:
        self.samples = iter(net.calibration)

    def get_next(self) -> dict[str, np.ndarray] | None:
        sample = next(self.samples, None)
        return None if sample is None else {"x": sample[None]}


def run(
    tool: str, settings: Mapping[str, Any], quantise: Callable[[Net, Any, Path], None], suffix: str = "onnx"
) -> None:
    """Each net with each setting."""
    nets, files = Path(sys.argv[1]), Path(sys.argv[2]) / tool
    files.mkdir(parents=True, exist_ok=True)
    names = sys.argv[3:] or sorted(path.stem for path in nets.glob("*.onnx"))
    failures = list[str]()
    for name in names:
        for setting, value in settings.items():
            path = files / f"{name}.{setting}.{suffix}"
            if path.is_file():
                continue
            try:
                quantise(Net(name, nets), value, path)
                if suffix == "onnx":
                    import onnx  # not in every tool's environment

                    onnx.load(path)
            except Exception as error:  # whatever the tool raises
                traceback.print_exc()
                lines = str(error).strip().splitlines() or [""]
                failures.append(f"{name}.{setting}: {type(error).__name__}: {lines[0][:200]}")
                path.unlink(missing_ok=True)
            else:
                print(path, flush=True)
    (files / "failures.txt").write_text("".join(f"{line}\n" for line in failures))
