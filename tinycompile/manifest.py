"""What of an output folder is ours: `manifest.json` lists it, so that nothing of the user's is ever replaced.

Files are the user's to edit, so each has the hash of what was written. Build products, and reports, which later
commands write again, are ours whatever is in them. Everything else in the folder is the user's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

MANIFEST = "manifest.json"
MARKER = "report.json"
"""The file by which an output folder of ours is recognised."""

REPORTS = frozenset({MANIFEST, MARKER, "report.html", "certificate.json"})
HARNESSES = ("firmware_harness", "firmware_energy")
FIRMWARES = ("firmware", "firmware_qemu", "firmware_trace", "firmware_training", "firmware_console", *HARNESSES)
_SOURCES = (".c", ".s", ".S")


@dataclass(frozen=True)
class Manifest:
    """Paths are relative, with slashes.

    Attributes:
        files: SHA-256 of each file as it was written.
        products: what the Makefile's goals make, whether it is there or not.
    """

    files: Mapping[str, str] = field(default_factory=dict[str, str])
    products: frozenset[str] = frozenset()

    @staticmethod
    def of(folder: Path) -> Manifest:
        """Of a folder that holds nothing but what we wrote and made."""
        written = [path for path in entries(folder) if path not in REPORTS]
        products = _products(written)
        return Manifest({path: digest(folder / path) for path in written if path not in products}, products)

    @staticmethod
    def read(folder: Path) -> Manifest | None:
        """None where there is none that can be read."""
        try:
            document: Any = json.loads((folder / MANIFEST).read_text())
            files, products = document["files"], document["products"]
            return Manifest({str(path): str(value) for path, value in files.items()}, frozenset(map(str, products)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, folder: Path) -> None:
        document = {"version": 1, "files": dict(sorted(self.files.items())), "products": sorted(self.products)}
        (folder / MANIFEST).write_text(json.dumps(document, indent=1) + "\n")

    def owns(self, path: str) -> bool:
        """Whether something of this name is ours, edited or not."""
        return path in self.files or path in self.products or path in REPORTS

    def edited(self, folder: Path) -> list[str]:
        """Files that aren't any more as they were written; one that was deleted is none of them."""
        return [path for path in entries(folder) if path in self.files and digest(folder / path) != self.files[path]]


def entries(folder: Path) -> Iterator[str]:
    """Everything in a folder that isn't a folder, sorted; a link is an entry, whatever it leads to."""
    for at, folders, files in os.walk(folder):
        here = Path(at)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in links)
        for name in sorted(files + links):
            yield (here / name).relative_to(folder).as_posix()


def digest(path: Path) -> str:
    """SHA-256 of a file; of something that is no file, nothing that was written."""
    if path.is_symlink() or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _products(written: list[str]) -> frozenset[str]:
    """What the Makefile makes of these files: objects and their stack reports, firmwares, libraries."""
    sources = [PurePosixPath(path) for path in written if path.endswith(_SOURCES)]
    ends = [f"{trace}.{end}" for trace in ("", ".trace") for end in ("o", "su", "ci")]
    products = {f"build/{path.with_suffix(end)}" for path in sources for end in ends} | {"build/firmware.map"}
    if any(path.startswith("firmware/") for path in written):
        products.update(f"{name}.{end}" for name in FIRMWARES for end in ("elf", "bin", "hex"))
    products.update(path.removesuffix(".bin") + ".hex" for path in written if path.endswith("_weights.bin"))
    models = [path.stem for path in sources if len(path.parts) == 1]
    made = {name for model in models for name in (model, f"lib{model}.so")}
    cold = {path for path in written if path.startswith("firmware_") and path.endswith(".bin")}
    return frozenset(products | cold | made.intersection(written))
