"""`make search-postgres`: a search whose candidates are in PostgreSQL, killed twice, finds what one in a file finds.

It starts a server of its own in a temporary folder; Debian's package `postgresql` and `pip install psycopg2-binary`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.conftest import ROOT
from tests.search.test_search import search_in
from tinycompile.search import driver
from tinycompile.search.study import front_of

PORT = 54321
PATIENCE = 300
"""Seconds for candidates to be trained."""
RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.search.test_search import search_in
from tinycompile.search import driver

if __name__ == "__main__":
    driver.searched(replace(search_in(Path(sys.argv[1]), workers=2), storage=sys.argv[2]), print)
"""


@contextmanager
def server(folder: Path) -> Generator[str]:
    """A storage's address as Optuna takes it."""
    programs = [
        shutil.which("initdb"),
        *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)),
    ]
    initdb = next(Path(each) for each in programs if each)
    as_user = {}
    if os.getuid() == 0:  # as whom the server doesn't start
        user = pwd.getpwnam("postgres")
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(folder, user.pw_uid, user.pw_gid)
    data = folder / "data"
    subprocess.run(
        [initdb, "-D", data, "-U", "search", "--auth=trust"], check=True, stdout=subprocess.DEVNULL, **as_user
    )
    run = [initdb.with_name("postgres"), "-D", data, "-p", str(PORT), "-k", folder, "-c", "listen_addresses="]
    process = subprocess.Popen(run, stderr=subprocess.DEVNULL, **as_user)
    try:
        while subprocess.run(["psql", "-h", folder, "-p", str(PORT), "-U", "search", "-c", "", "postgres"]).returncode:
            time.sleep(0.2)
        yield f"postgresql+psycopg2://search@/postgres?host={folder}&port={PORT}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def killed(script: Path, folder: Path, storage: str, finished: int) -> int:
    """Begin or go on until so many candidates are trained, then kill the driver with signal 9: how many are."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(script), str(folder), storage]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    trained, deadline = folder / "out" / "trials", time.monotonic() + PATIENCE
    while len(list(trained.glob("*.json"))) < finished and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    return len(list(trained.glob("*.json")))


def main() -> int:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other, server(Path(one)) as storage:
        folder = Path(other)
        search, script = search_in(folder, workers=2), folder / "run.py"
        script.write_text(RUN)
        counts = [killed(script, folder, storage, finished) for finished in (2, 9)]
        found = driver.searched(replace(search, storage=storage), print)
        expected = driver.searched(replace(search, output=folder / "file"), print)
        same = found == expected and front_of(found) == front_of(expected)
        print(
            f"killed after {counts} of {search.trials}; PostgreSQL finds {'the same' if same else 'OTHERS'} as a file"
        )
    return 0 if same and 0 < counts[0] < counts[1] < search.trials else 1


if __name__ == "__main__":
    sys.exit(main())
