"""Steps of a task, as the supervisor of one slot takes them: references expanded, files inline or staged."""

from __future__ import annotations

import base64
import hashlib
import os
import posixpath
import shlex
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ansible.errors import AnsibleError

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core < 2.19: every text may be a template
    trust_as_template = None

from ansible_collections.benchhub.bench.plugins.plugin_utils.actions import one_of
from ansible_collections.benchhub.bench.plugins.plugin_utils.arguments import STEP_KINDS
from ansible_collections.benchhub.bench.plugins.plugin_utils.containers import Containers
from ansible_collections.benchhub.bench.plugins.plugin_utils.links import TEMPLATES
from ansible_collections.benchhub.bench.plugins.plugin_utils.outcome import RefusedError

#: Files up to this size travel inside the request, bytes.
INLINE_LIMIT = 256 * 1024
#: A larger file is sent in pieces of this size, so that a node's slow link never holds all of it in memory, bytes.
_PIECE = 16 * 2**20

#: Fails a fetch step when nothing matches its pattern ($1) at that moment; the file itself travels at the end.
_FETCH = 'IFS=; for found in $1; do [ -e "$found" ] && exit 0; done; echo "nothing matches $1" >&2; exit 1'


#: Before ansible-core 2.19 a rendered text that looks like Python data would be turned into it.
_LEGACY = {} if trust_as_template else {"convert_data": False}


class Steps:
    """Turns arguments into supervisor steps for one slot after the other; files are read once for all slots."""

    def __init__(self, fleet, unit):
        self._fleet = fleet
        self._unit = unit
        self._staged = {}  # path on the controller, whether to build from it -> Staged

    def step(self, slot, args):
        """One supervisor step for one slot; RefusedError when its arguments do not go together."""
        kind = one_of(args, STEP_KINDS)
        step = {"name": args["name"], **self.command(slot, args)} if kind in ("shell", "argv", "container") else None
        if step is None:
            step = {"name": args["name"], **self._common(slot, args), **getattr(self, f"_{kind}")(slot, args[kind])}
        for key in ("timeout", "grace"):
            if args.get(key) is not None:
                step[key] = args[key]
        if args.get("retries"):
            step["retries"] = {"count": args["retries"], "delay": args["delay"]}
        if args.get("only_if"):
            step["when"] = self._fleet.expand(slot, args["only_if"])
        return step

    def command(self, slot, args):
        """What to run and as whom: the part that a step, a service and a shutdown have in common."""
        expand = self._fleet.expand
        if args.get("container") is not None:
            return Containers(self._fleet, slot, self._unit).command(
                args["container"], self._common(slot, args), lambda path: self._sent(slot, path)
            )
        if args.get("shell") is not None:
            what = {"kind": "shell", "text": expand(slot, args["shell"])}
            if args.get("executable"):
                what["executable"] = expand(slot, args["executable"])
        else:
            if not args.get("argv"):
                raise RefusedError(f"{args.get('name')}: argv is empty")
            what = {"kind": "exec", "argv": [expand(slot, item) for item in args["argv"]]}
        return {**what, **self._common(slot, args)}

    def _sent(self, slot, path):
        """What makes a step bring a folder beside the job to the node first, and where that will be."""
        source = self._source(slot, path)
        if not source.is_dir():
            raise RefusedError(f"{source} is no folder: what is built from is one, with its Dockerfile in it")
        name = self._stage(source, context=True).name
        unpacked = posixpath.join(self._fleet.link(slot).run_dir, "context-" + posixpath.basename(name)[:12])
        return {"staged": name, "unpack": unpacked}, unpacked

    def staged(self):
        """The files that do not fit into a request, by their path below the supervisor's folder."""
        return {item.name: item for item in self._staged.values()}

    def _common(self, slot, args):
        expand = self._fleet.expand
        common = {}
        if args.get("env"):
            common["env"] = {str(key): expand(slot, value) for key, value in args["env"].items()}
        if args.get("chdir"):
            common["chdir"] = expand(slot, args["chdir"])
        user = args.get("user")
        if user or args.get("become"):
            common["user"] = expand(slot, user) if user else "root"
        return common

    def _async_job(self, slot, name):
        """The job that a task of the play has begun there; none where that task was skipped."""
        told = self._fleet.variables(slot).get(name)
        if not isinstance(told, Mapping):
            raise RefusedError(f"no task has registered {name} for {slot}")
        if not told.get("ansible_job_id") and not told.get("skipped"):
            raise RefusedError(f"what {name} says of {slot} is no async job: give its task `async:` and `poll: 0`")
        return {"kind": "async", "jid": str(told.get("ansible_job_id") or "")}

    def _fetch(self, slot, pattern):
        return {"kind": "exec", "argv": ["/bin/sh", "-c", _FETCH, "sh", self._fleet.expand(slot, pattern)]}

    def _copy(self, slot, args):
        target = self._target(slot, args)
        if args.get("content") is not None:
            content = self._fleet.expand(slot, args["content"]).encode()
            return {**target, "content": base64.b64encode(content).decode()}
        text = self._fleet.expand(slot, args["src"])
        source = self._source(slot, text)
        if source.is_dir():
            return {**target, **self._directory(source, text), "staged": self._stage(source).name}
        target["dest"] = _with_name(target["dest"], source.name)
        if source.stat().st_size <= INLINE_LIMIT:
            return {**target, "content": base64.b64encode(source.read_bytes()).decode()}
        return {**target, "staged": self._stage(source).name}

    @staticmethod
    def _directory(source, text):
        """As with Ansible's copy: `src: conf` makes DEST/conf, `src: conf/` fills DEST."""
        return {"directory": True, "prefix": "" if text.endswith("/") else source.name}

    def _template(self, slot, args):
        source = self._source(slot, self._fleet.expand(slot, args["src"]))
        target = self._target(slot, args)
        target["dest"] = _with_name(target["dest"], source.name.removesuffix(".j2"))
        text = render(self._fleet.templar(slot), source)
        return {**target, "content": base64.b64encode(text.encode()).decode()}

    def _target(self, slot, args):
        target = {"kind": "file", "dest": self._fleet.expand(slot, args["dest"])}
        for key in ("owner", "group"):
            if args.get(key):
                target[key] = args[key]
        if args.get("mode") is not None:
            target["mode"] = _mode(args["mode"])
        return target

    def _source(self, slot, text):
        base = self._fleet.value(slot, "benchhub_job_dir") or "."
        source = Path(base, text)
        if not source.exists():
            raise RefusedError(f"{source} does not exist on the controller")
        return source

    def _stage(self, source, *, context=False):
        """What a build needs is sent without the runs' folders that lie in it; a copy is what the job names."""
        key = source, context
        if key not in self._staged:
            self._staged[key] = Staged(source, without=_runs_below(source) if context else frozenset())
        return self._staged[key]


class Staged:
    """A file or folder that is sent to a node beside the requests; `name` is its path in the supervisor's folder."""

    def __init__(self, source, without=frozenset()):
        self._file = _packed(source, without) if source.is_dir() else source.open("rb")
        digest = hashlib.sha256()
        while piece := self._file.read(_PIECE):
            digest.update(piece)
        self.size = self._file.tell()
        self.name = f"staged/{digest.hexdigest()[:32]}"

    def send(self, link):
        """Puts the file on a node, through the standard input of sh: that works with any connection and any become."""
        path = f"{link.supervisor_dir}/{self.name}"
        folder, target = shlex.quote(os.path.dirname(path)), shlex.quote(path)
        _checked(link, f"umask 077 && mkdir -p {folder} && : > {target}.part", b"\n")
        offset = 0
        while piece := os.pread(self._file.fileno(), _PIECE, offset):
            offset += len(piece)
            _checked(link, f"cat >> {target}.part", piece)
        _checked(link, f"mv -f {target}.part {target}", b"\n")


def _checked(link, command, data):
    code, _out, err = link.run(command, data)
    if code:
        raise RefusedError(f"a file could not be put on the node: {err.decode(errors='replace').strip()[-200:]}")


def _runs_below(folder):
    """The folders of runs that lie beside the job: an image is not made of them, and one of them is being written."""
    return {path.parent for path in folder.rglob("journal.jsonl")}


def _packed(folder, without):
    """A tar of a folder's content, in a file that has no name."""
    packed = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the task
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            if not without.isdisjoint((path, *path.parents)):
                continue
            archive.add(path, arcname=str(path.relative_to(folder)), recursive=False)
    packed.seek(0)
    return packed


def render(templar, source):
    """The text of a template with a slot's variables; what nodes once said is inserted as it is, never evaluated."""
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"the template {source} cannot be read: {error}") from error
    try:
        with TEMPLATES:
            made = templar.copy_with_new_env(searchpath=[str(source.parent)])
            return str(made.template(_trusted(text), escape_backslashes=False, **_LEGACY))
    except AnsibleError as error:
        raise RefusedError(f"the template {source} cannot be rendered: {error}") from error


def _trusted(text):
    """A text that may be a template: it comes from the job's own folder, as the files of Ansible's template module."""
    return text if trust_as_template is None else trust_as_template(text)


def _with_name(dest, name):
    return dest + name if dest.endswith("/") else dest


def _mode(mode):
    """`0644`, `"0644"` and YAML's 420 as octal text; anything else as it is, for the node to refuse."""
    return format(mode, "04o") if isinstance(mode, int) else str(mode)
