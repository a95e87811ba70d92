"""How the supervisor gets onto a node: its program as a zip, and the sh script that puts it there and starts it."""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

import functools
import io
import json
import marshal
import shlex
import zipfile
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path

_PACKAGE = "benchhub_supervisor"

#: Pythons to try, best first: a system's own starts fastest and has no wrapper around it.
_PYTHONS = (
    "/usr/bin/python3 /usr/libexec/platform-python python3 python3.14 python3.13 python3.12 python3.11 python3.10"
    " python3.9 python3.8"
)

#: Takes the program on its standard input. Every folder on the way has to be ours and nobody else's to write: its path
#: can be guessed. Run with -c, because running the zip itself would import runpy (6 ms of CPU). It has to be readable
#: for Pythons that are too old, and must not read before it knows that this one is not.
_START = """\
import sys
if sys.version_info < (3, 8):
    sys.exit(99)
import gc
import os
gc.disable()
folder, login = sys.argv[1:3]
own = [str(os.geteuid()), login]
one = path = os.path.join(folder, ".benchhub")
try:
    os.umask(0o022)
    os.makedirs(os.path.dirname(os.path.dirname(folder)), exist_ok=True)
    for one, mode in ((os.path.dirname(folder), 0o755), (folder, 0o755), (path, 0o700)):
        try:
            os.mkdir(one, mode)
        except FileExistsError:
            pass
        facts = os.lstat(one)
        if facts.st_mode >> 12 != 4 or str(facts.st_uid) not in own or facts.st_mode & 0o022:
            raise OSError(0, "it is there already, and is not ours alone")
    one = os.path.join(path, "supervisor.%d" % os.getpid())
    with open(one, "xb") as file:
        file.write(sys.stdin.buffer.read())
except OSError as error:
    text = "the run folder cannot be made: %s: %s (benchhub_node_dir says where)" % (one, error.strerror)
    print('{"ok": false, "error": "%s"}' % ascii(text)[1:-1].replace("\\\\", "/").replace('"', "'"))
    sys.exit(0)
sys.path.insert(0, one)
from benchhub_supervisor import boot, wire
boot.main(wire.loads(sys.argv[3]), one)
"""

#: Takes the program on its standard input too, and keeps it in memory: the disk may be full, the folder is to go.
_END = """\
import sys
if sys.version_info < (3, 8):
    sys.exit(99)
import os
program = os.memfd_create("benchhub")
with open(program, "wb", closefd=False) as file:
    file.write(sys.stdin.buffer.read())
sys.path.insert(0, "/proc/self/fd/%d" % program)
from benchhub_supervisor import leftovers, wire
leftovers.main(wire.loads(sys.argv[1]))
"""

#: On `local` the environment is that of a controller, which ends at last whatever carries its mark; a supervisor is
#: to be ended by teardown or by its lease alone, with everything below it, in order.
_SCRIPT = """\
unset BENCHHUB_CONTROLLER
for python in {pythons}; do
  command -v "$python" >/dev/null 2>&1 || continue
  "$python" -I -S -c {start} {arguments}
  code=$?
  [ $code -eq 99 ] || exit $code  # 99: too old, the next one may do
done
echo '{{"ok": false, "error": "there is no Python 3.8 or newer: install one, or name it with benchhub_python"}}'
"""


@functools.lru_cache(maxsize=1)
def program():
    """The supervisor as a zip that Python imports from; the same bytes for the same sources and Python.

    Beside each source is its bytecode. A node whose Python has the version of this one uses it, and is spared the
    compiler's 25 ms of CPU; any other sees that it is not for it, and compiles the source.
    """
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(Path(__file__).with_name("supervisor").glob("*.py")):
            name, source = "%s/%s" % (_PACKAGE, path.name), path.read_bytes()
            for entry, content in ((name, source), (name + "c", _bytecode(source, name))):
                # a fixed date; ZipInfo's own default would not compress
                archive.writestr(zipfile.ZipInfo(entry), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def _bytecode(source, name):
    """The content of a .pyc file that is valid without a look at its source (PEP 552)."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=2)
    unchecked = (1).to_bytes(4, "little")
    return MAGIC_NUMBER + unchecked + source_hash(source) + marshal.dumps(code)


def script(config, python=None):
    """The sh script that takes ``program()`` on its standard input and prints the supervisor's one JSON line.

    ``python`` is the interpreter to prefer on the node; ``config`` is documented in docs/explanation/supervisor.md.
    """
    login = config.get("login_uid")
    folder, config = str(config["dir"]).rstrip("/"), json.dumps(config)
    return _script(_START, [folder, "" if login is None else str(login), config], python)


def end_script(config, python=None):
    """The sh script that takes ``program()`` too, ends and removes what a slot holds, and prints one JSON line.

    For a slot whose supervisor is gone. ``config`` is ``run``, ``slot``, ``dir`` and ``async_dir``.
    """
    return _script(_END, [json.dumps(config)], python)


def _script(start, arguments, python):
    return _SCRIPT.format(
        pythons=(shlex.quote(python) + " " if python else "") + _PYTHONS,
        start=shlex.quote(start),
        arguments=" ".join(map(shlex.quote, arguments)),
    )
