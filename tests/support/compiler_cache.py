"""What the tests compile for Arm is compiled once: the same model for the same core is in many of them.

A script in front of `PATH` takes the compiler's name. Where it is asked for an object file, it looks among those of
this session for one of the same preprocessed text and the same flags, and copies that with the stack usage and call
graph that GCC writes beside it. Everything else goes to the compiler, and so does all of it where the environment has
COMPILER_CACHE=off: for tests that ask whether two compilations agree.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

COMPILER = "arm-none-eabi-gcc"
OFF = "COMPILER_CACHE"

# -MD and the like name further files, -g3 keeps macros, assembly has no preprocessed text.
# What is warned of isn't kept: each build shows it.
_SCRIPT = """\
#!/bin/sh
compile='' source='' out='' more='' key=''
[ "$COMPILER_CACHE" != off ] || exec REAL "$@"
for argument; do
    case $argument in
    -c) compile=1 ;;
    *.c) source=1 ;;
    -M* | -g3 | -x* | *.[sS]) more=1 ;;
    esac
done
[ "$compile" ] && [ "$source" ] && [ ! "$more" ] || exec REAL "$@"
for argument; do
    shift
    if [ "$out" = next ]; then
        out=$argument
    elif [ "$argument" = -o ]; then
        out=next
    else
        set -- "$@" "$argument"
        case $argument in -ffile-prefix-map=*) ;; *) key="$key $argument" ;; esac
    fi
done
case $out in *.o) ;; *) exec REAL "$@" ${out:+-o "$out"} ;; esac
text=$(mktemp FOLDER/text.XXXXXX)
REAL "$@" -E -fno-working-directory -o "$text" 2>/dev/null || { rm -f "$text"; exec REAL "$@" -o "$out"; }
known=FOLDER/$({ echo "$key"; cat "$text"; } | sha256sum | cut -c1-40)
rm -f "$text"
if [ -e "$known.o" ]; then
    for end in su ci o; do
        [ ! -e "$known.$end" ] || cp "$known.$end" "${out%.o}.$end" || exit 1
    done
    exit 0
fi
messages=$(REAL "$@" -o "$out" 2>&1) || { status=$?; printf '%s\\n' "$messages" >&2; exit $status; }
[ ! "$messages" ] || { printf '%s\\n' "$messages" >&2; exit 0; }
for end in su ci o; do
    [ ! -e "${out%.o}.$end" ] || { cp "${out%.o}.$end" "$known.$$" && mv "$known.$$" "$known.$end"; }
done
"""


@contextmanager
def compiler_cache() -> Generator[None, None, None]:
    """For this process and all that it starts, until the end of the block."""
    real = shutil.which(COMPILER)
    if real is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="tinycompile-compiled-") as name:
        script, path = Path(name) / COMPILER, os.environ["PATH"]
        script.write_text(_SCRIPT.replace("REAL", f"'{real}'").replace("FOLDER", f"'{name}'"))
        script.chmod(0o755)
        os.environ["PATH"] = f"{name}{os.pathsep}{path}"
        try:
            yield
        finally:
            os.environ["PATH"] = path
