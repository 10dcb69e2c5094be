"""`make search-engines`: a search finds the same by local workers, by a cluster of Dask and by one of Ray.

On each cluster a worker is killed on the way, and then a task that kills every worker is an error.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.search.test_cluster import CONFIG
from tests.search.test_search import search_in
from tinycompile.errors import ToolFailedError
from tinycompile.search import driver
from tinycompile.search.cluster import opened
from tinycompile.search.study import front_of
from tinycompile.search.tasks import Task


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder, wrong = Path(name), 0
        search = replace(search_in(folder), workers=2)
        trainer = folder / "trainer.py"  # of which workers have a copy elsewhere
        trainer.write_text(
            trainer.read_text().replace('Path(__file__).with_name("killed")', f'Path("{folder}/killed")')
        )
        expected = driver.searched(replace(search, output=folder / "local"), print)
        for engine in ("dask://", "ray://"):
            begun = time.monotonic()
            (folder / "killed").write_text("once")
            found = driver.searched(replace(search, output=folder / engine[:-3], engine=engine), print)
            same = found == expected and front_of(found) == front_of(expected)
            killed = not (folder / "killed").exists()
            (folder / "killed").write_text("always")
            error = ""
            try:
                with opened(engine, search.setup, 1) as cluster:
                    list(cluster.run([Task(7, CONFIG, 0.0)]))
            except ToolFailedError as failed:
                error = str(failed)
            (folder / "killed").unlink()
            right = same and killed and ("candidate 7" in error or "no workers left" in error)
            wrong += not right
            print(f"{engine} {'the same' if same else 'OTHERS'}, worker killed: {killed}, {error!r}", end=" ")
            print(f"({time.monotonic() - begun:.0f} s)", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
