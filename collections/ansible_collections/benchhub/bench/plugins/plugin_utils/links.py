"""The way to one node: its connection and become plugins with that host's own options, as a task would have them."""

# ruff: noqa: SLF001 - Ansible hands its plugins what they need in underscored attributes

from __future__ import annotations

import json
import os
import shlex
import threading
from functools import cached_property

from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.executor.task_executor import TaskExecutor
from ansible.module_utils.common.text.converters import to_text
from ansible.playbook.play_context import PlayContext
from ansible.template import Templar
from ansible_collections.benchhub.bench.plugins.plugin_utils.lines import BrokenLineError
from ansible_collections.benchhub.bench.plugins.plugin_utils.shells import by_sh

#: Ansible's templates, and so its connections' options, are for one thread at a time.
TEMPLATES = threading.RLock()

#: Exit codes of the call wrapper below; the supervisor's own client never uses them.
_NEEDS_BECOME = 97
_GONE = 98

#: `read` of sh costs a system call a byte, `cat` a fork and an exec: a request shorter than this is read by sh itself.
_SHORT = 2048

#: Operations that may be asked again when nobody knows whether they were: a second time they do nothing more.
_TWICE = ("clock", "wait", "start", "check", "stop")

#: Runs the supervisor's client. Of a folder that is somebody else's (mode 0700) only that is to be seen.
_CALL = (
    "if [ -r {d}/call ]; then cd {d} && how={how} && . ./call;"
    " elif [ -O {d} ]; then exit 98; elif [ -d {d} ]; then exit 97; else exit 98; fi"
)


class UnreachableError(Exception):
    """The node could not be reached, or the connection broke; the message is the connection plugin's."""


class BadReplyError(Exception):
    """Something answered on the node, but not the supervisor."""


class Link:
    """One node: runs commands through ``connection``, and supervisor calls through its line when one stands."""

    def __init__(self, slot, run_dir, connect, line):
        self.slot = slot
        self.line = line
        self._run_dir = run_dir
        self._connect = connect
        self._connection = None
        self._lock = threading.Lock()
        if line is None or not line.stands():
            self._connection, self.run_dir = connect(), run_dir(slot)

    @cached_property
    def run_dir(self):
        """The slot's run folder on the node."""
        return self._run_dir(self.slot)

    @property
    def connection(self):
        """The connection plugin, made when it is needed: as long as the line stands most tasks need none."""
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
        return self._connection

    @connection.setter
    def connection(self, connection):
        self._connection = connection

    @property
    def supervisor_dir(self):
        """The supervisor's folder on the node."""
        return self.run_dir.rstrip("/") + "/.benchhub"

    def with_become(self):
        """Goes through the host's become plugin from now on."""
        self.connection = self._connect(become=True)

    def as_root(self):
        """Goes through become from now on, unless it does already or the login user is root; the login's uid and gid.

        (None, None) when the connection goes through become as it is: everything is then that user's.
        """
        if self.connection.become is not None:
            return None, None
        code, out, err = self.run("id -u && id -g")
        numbers = [line for line in out.decode(errors="replace").split() if line.isdigit()]
        if code or len(numbers) < 2:
            raise BadReplyError(f"`id` failed: {err.decode(errors='replace').strip()[-200:]}")
        uid, gid = int(numbers[-2]), int(numbers[-1])
        if uid != 0:
            self.with_become()
        return uid, gid

    def run(self, command, data=b"\n"):
        """(exit code, stdout, stderr) of a sh command on the node; UnreachableError when it could not be started.

        ``data`` is its standard input. It is never empty: connection plugins use a terminal when it is.
        """
        try:
            return self._exec(by_sh(command), data)
        except AnsibleConnectionFailure as error:
            raise UnreachableError(_text(error)) from error
        except AnsibleError as error:
            raise UnreachableError(_text(error)) from error
        except OSError as error:
            raise UnreachableError(f"the connection cannot be started: {error}") from error

    def call(self, request, *, alone=False):
        """The supervisor's reply to one request; ``{"ok": False, "error": "gone"}`` when there is no supervisor.

        ``alone``: by a session of its own, for a caller that may not stay until the reply is there.
        """
        if request["op"] == "start":  # by this its supervisor knows the same request again
            request = {**request, "id": os.urandom(8).hex()}
        data = json.dumps(request).encode() + b"\n"
        by_line = self.line is not None and not alone and len(data) < _SHORT
        answer = self._call_by_line(request["op"], data) if by_line else None
        if answer is None:
            answer = self._call(data, "short" if len(data) < _SHORT else "")
        if answer.get("error") == "full":  # no file can be written there: a dearer way that needs none
            answer = self._call(data, "full")
        return answer

    def _call_by_line(self, operation, data):
        try:
            answer = self.line.call(data)
        except BrokenLineError as error:
            if operation in _TWICE:
                return None
            # The node is lost, or its supervisor: a session of its own tells which. The request is not sent again, as
            # it may have been carried out.
            answer = self._call(b'{"op": "clock"}\n', "short")
            if answer.get("ok"):
                raise BadReplyError(f"the line to its supervisor broke before the reply: {error}") from error
            return answer
        return None if answer is None else reply(0, answer, b"")

    def _call(self, data, how):
        command = _CALL.format(d=shlex.quote(self.supervisor_dir), how=how)
        code, out, err = self.run(command, data)
        if code == _NEEDS_BECOME and self.connection.become is None:
            self.with_become()
            code, out, err = self.run(command, data)
        if code == _GONE:
            return {"ok": False, "error": "gone"}
        return reply(code, out, err)

    def put(self, source, destination):
        """Copies a file of the controller to the node, as the login user."""
        try:
            self.connection.put_file(source, destination)
        except (AnsibleError, OSError) as error:
            raise UnreachableError(f"{source} could not be copied: {_text(error)}") from error

    def fetch(self, source, destination):
        """Copies a file of the node, readable by the login user, to the controller."""
        try:
            self.connection.fetch_file(source, destination)
        except (AnsibleError, OSError) as error:
            raise UnreachableError(f"{source} could not be fetched: {_text(error)}") from error

    def async_dir(self):
        """Where Ansible's async_status looks for jobs on this node; `~` says whose home, as its own actions do."""
        folder = self.connection._shell.get_option("async_dir")
        become = self.connection.become
        user = become.get_option("become_user") if become is not None else self._login_user()
        user = user or getattr(self.connection, "default_user", None)
        return f"~{user}/{folder[2:]}" if user and folder.startswith("~/") else folder

    def _login_user(self):
        try:
            return self.connection.get_option("remote_user")
        except KeyError:
            return self.connection._play_context.remote_user

    def _exec(self, command, data):
        connection = self.connection
        if connection.become is not None and self._changes_user():
            command = connection.become.build_become_command(command, connection._shell)
        code, out, err = connection.exec_command(command, in_data=data, sudoable=True)
        return code, _bytes(out), _bytes(err)

    def _changes_user(self):
        """Whether become does anything, by the rule of Ansible's own actions."""
        if constants.BECOME_ALLOW_SAME_USER:
            return True
        login = self._login_user()
        target = self.connection.become.get_option("become_user", playcontext=self.connection._play_context)
        return target != login or not any((target, login))


def reply(code, out, err):
    """The JSON object in a client's output, which a login shell may have preceded with a greeting."""
    for line in reversed(out.decode(errors="replace").splitlines()):
        if line.startswith("{"):
            try:
                answer = json.loads(line)
            except ValueError:
                break
            if isinstance(answer, dict):
                return answer
    said = " ".join((err or out).decode(errors="replace").split())[-300:]
    raise BadReplyError(f"the supervisor's client ended with {code} and no reply" + (f": {said}" if said else ""))


class LinkMaker:
    """Makes the Link of any host of the inventory, with the task's and that host's settings.

    ``variables`` and ``run_dir`` give those of a slot.
    """

    def __init__(self, action, own_slot, variables, run_dir):
        self._action = action
        self._own = own_slot
        self._variables = variables
        self._run_dir = run_dir

    def link(self, slot, line):
        """The Link of ``slot``; UnreachableError when its connection settings make no connection."""

        def connect(*, become=False):
            if slot == self._own and not become:
                return self._action._connection
            with TEMPLATES:
                variables = self._variables(slot)
                return self._connection({**variables, "ansible_become": True} if become else variables)

        return Link(slot, self._run_dir, connect, line)

    def _connection(self, variables):
        """A connection whose every option is set, by the code of Ansible's own task executor."""
        action = self._action
        templar = Templar(loader=action._loader, variables=variables)
        executor = _executor(action)
        context = self._play_context()
        context = context.set_task_and_variable_override(task=action._task, variables=variables, templar=templar)
        context.post_validate(templar=templar)
        if not context.remote_addr:
            context.remote_addr = variables["inventory_hostname"]
        executor._play_context = context
        name = action._task.connection
        if variables.get("ansible_connection") is not None:
            name = templar.template(variables["ansible_connection"])
        executor._connection = executor._get_connection(variables, templar, name)
        executor._set_connection_options(variables, templar)
        return executor._connection

    def _play_context(self):
        """A context that knows the command line's passwords, but nothing of the host the task runs for."""
        action = self._action
        current = action._play_context
        given = {}
        for key, attribute in (("conn_pass", "password"), ("become_pass", "become_pass")):
            own = any(name in action.bench_vars for name in constants.MAGIC_VARIABLE_MAPPING.get(attribute, ()))
            given[key] = None if own else getattr(current, attribute, None)
        lock = getattr(current, "connection_lockfd", None)
        return PlayContext(action._task.get_play(), passwords=given, connection_lockfd=lock)


def _executor(action):
    """A TaskExecutor that is only used for what it knows of connections; its constructor differs between versions."""
    executor = object.__new__(TaskExecutor)
    executor._host = None
    executor._loader = action._loader
    executor._shared_loader_obj = action._shared_loader_obj
    executor._connection = None
    executor._new_stdin = None
    if not isinstance(getattr(TaskExecutor, "_task", None), property):
        executor._task = action._task
    return executor


def _text(error):
    return to_text(getattr(error, "message", None) or error).strip()


def _bytes(output):
    if isinstance(output, bytes):
        return output
    if isinstance(output, str):
        return output.encode()
    return b"".join(output.readlines())
