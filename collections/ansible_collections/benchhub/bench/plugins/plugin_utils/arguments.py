"""The arguments of every action; the documentation in plugins/modules says the same, and a test compares them."""

from __future__ import annotations

NAMES = {"type": "list", "elements": "str", "default": []}

_FILE = {
    "dest": {"type": "str", "required": True},
    "mode": {"type": "raw"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
}

#: A command of docker or podman; what the engine is told stands in argv, but for what benchhub has to look at.
CONTAINER = {
    "verb": {"type": "str", "required": True, "choices": ["run", "exec", "stop", "pull", "build"]},
    "engine": {"type": "str"},
    "argv": {"type": "list", "elements": "str", "default": []},
    "volumes": {"type": "list", "elements": "str", "default": []},
    "network": {"type": "str"},
    "container": {"type": "str"},
    "context": {"type": "str"},
    "file": {"type": "str"},
    "env": {"type": "dict", "default": {}},
    "grace": {"type": "float"},
}

#: How a command is run; shared by steps, services and the command check of wait_for.
_COMMAND = {
    "shell": {"type": "str"},
    "argv": {"type": "list", "elements": "str"},
    "container": {"type": "dict", "options": CONTAINER},
    "executable": {"type": "str"},
    "env": {"type": "dict", "default": {}},
    "chdir": {"type": "str"},
    "become": {"type": "bool", "default": False},
    "user": {"type": "str"},
    "line": {"type": "int"},
}

STEP = {
    "name": {"type": "str", "required": True},
    **_COMMAND,
    "copy": {
        "type": "dict",
        "options": {"src": {"type": "str"}, "content": {"type": "str"}, **_FILE},
        "required_one_of": [("src", "content")],
        "mutually_exclusive": [("src", "content")],
    },
    "template": {"type": "dict", "options": {"src": {"type": "str", "required": True}, **_FILE}},
    "fetch": {"type": "str"},
    "timeout": {"type": "float"},
    "grace": {"type": "float"},
    "retries": {"type": "int", "default": 0},
    "delay": {"type": "float", "default": 1.0},
    "only_if": {"type": "str"},  # not `when`: whoever checks playbooks takes that for Jinja
}

#: Exactly one of these says what a step does.
STEP_KINDS = ("shell", "argv", "container", "copy", "template", "fetch", "async_job")
#: Those that run something, as services and shutdowns do.
COMMAND_KINDS = ("shell", "argv", "container")

STEPS = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {**STEP, "async_job": {"type": "str"}},
    "required_one_of": [STEP_KINDS],
    "mutually_exclusive": [STEP_KINDS],
}

LIVE = {
    "tcp": {"type": "str"},
    "http": {"type": "str"},
    "command": {"type": "str"},
    "log": {"type": "str"},
    "file": {"type": "str"},
    "status": {"type": "list", "elements": "int", "default": []},
    "body": {"type": "str"},
    "interval": {"type": "float", "default": 5.0},
    "timeout": {"type": "float", "default": 10.0},
    "failures": {"type": "int", "default": 3},
}

#: Exactly one of these says what a live check looks at.
LIVE_KINDS = ("tcp", "http", "command", "log", "file")

PREPARE = {
    "lease": {"type": "float", "default": 60.0},
    "retention": {"type": "float", "default": 900.0},
    "become_on": NAMES,
}

START = {
    "unit": {"type": "str", "required": True},
    "title": {"type": "str"},
    "steps": STEPS,
    "together": {"type": "bool", "default": False},
    "late_limit": {"type": "float", "default": 0.25},
    "join": {"type": "bool", "default": True},
    "watch": NAMES,
    "deadline": {"type": "float"},
}

JOIN = {
    "units": {"type": "dict", "required": True},
    "title": {"type": "str"},
    "watch": NAMES,
    "deadline": {"type": "float"},
}

SERVICE = {
    "name": {"type": "str", "required": True},
    "title": {"type": "str"},
    **_COMMAND,
    "grace": {"type": "float", "default": 10.0},
    "shutdown": {
        "type": "dict",
        "options": STEP,
        "required_one_of": [COMMAND_KINDS],
        "mutually_exclusive": [STEP_KINDS],
    },
    "live": {
        "type": "dict",
        "options": LIVE,
        "required_one_of": [LIVE_KINDS],
        "mutually_exclusive": [LIVE_KINDS],
    },
}

WAIT_FOR = {
    "host": {"type": "str", "default": "127.0.0.1"},
    "port": {"type": "int"},
    "timeout": {"type": "float", "default": 300.0},
    "connect_timeout": {"type": "float", "default": 5.0},
    "delay": {"type": "float", "default": 0.0},
    "sleep": {"type": "float"},
    "interval": {"type": "float"},
    "successes": {"type": "int", "default": 1},
    "path": {"type": "str"},
    "search_regex": {"type": "str"},
    "state": {
        "type": "str",
        "default": "started",
        "choices": ["started", "present", "stopped", "absent", "drained"],
    },
    "exclude_hosts": {"type": "list", "elements": "str"},
    "active_connection_states": {"type": "list", "elements": "str"},
    "msg": {"type": "str"},
    "url": {"type": "str"},
    "status": {"type": "list", "elements": "int", "default": []},
    "body": {"type": "str"},
    "command": {"type": "str"},
    "env": {"type": "dict", "default": {}},
    "chdir": {"type": "str"},
    "user": {"type": "str"},
    "become": {"type": "bool", "default": False},
    "log": {"type": "str"},
    "service": {"type": "str"},
    "watch": NAMES,
    "title": {"type": "str"},
}

#: At most one of these says what wait_for looks at; `port` and `path` are the builtin's.
WAIT_KINDS = ("port", "path", "url", "command", "log")

STOP = {
    "services": NAMES,
    "stages": {"type": "bool", "default": False},
    "title": {"type": "str"},
}

COLLECT = {
    "files": {"type": "dict", "required": True},
    "dest": {"type": "str", "required": True},
    "limit": {"type": "int", "default": 64 * 2**20},
    "title": {"type": "str"},
}

#: How the engines of some slots are spoken to: what a supervisor does that is gone is done without it.
ENGINES = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "engine": {"type": "str"},
    "env": {"type": "dict", "default": {}},
    "become": {"type": "bool", "default": False},
    "user": {"type": "str"},
}

FINISH = {
    "containers": {"type": "list", "elements": "dict", "default": [], "options": ENGINES},
    "collect": {"type": "dict", "default": {}},
    "dest": {"type": "str", "default": ""},
    "limit": {"type": "int", "default": 64 * 2**20},
    "keep": {"type": "float"},
    "become_on": NAMES,
    "title": {"type": "str"},
}
