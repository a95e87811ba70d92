"""Ready and live checks: one look at a port, a URL, a command, a log or a file, and polling until it is as wanted."""

import _socket
import os
import time

from . import processes

_LOG_CHUNK = 1 << 20
#: A line of a log longer than this is searched in pieces, so that a service cannot fill the checker's memory.
_LINE_LIMIT = 64 * 1024
_BODY_LIMIT = 1 << 20
_REDIRECTS = (301, 302, 303, 307, 308)
_INTERVAL = 0.03
#: A command starts a program each time, a client of a database or of a container engine. Tried again and again without
#: a pause it takes a whole core from what it waits for: it gets a tenth of the time, and is not late by more than this.
_COMMAND_PAUSES, _COMMAND_PAUSE = 9, 1.0


class Check:
    """One check. ``attempt`` returns None when all is as wanted, else what is not."""

    def __init__(self, spec, context):
        self.spec = spec
        self.context = context
        self._offsets = {}
        self._rests = {}
        for kind in ("tcp", "http", "command", "log", "file"):
            if spec.get(kind) is not None:  # a live check names its kind by the key
                self.spec = dict(spec, kind=kind, target=spec[kind])

    def attempt(self):
        """None, or a text that says what was found instead."""
        return getattr(self, "_" + self.spec["kind"])(self.spec["target"])

    def _timeout(self):
        return float(self.spec.get("connect_timeout") or 5.0)

    def _tcp(self, target):
        host, _colon, port = target.rpartition(":")
        wanted = self.spec.get("state") not in ("stopped", "absent")
        try:
            sock = _connect(host.strip("[]") or "127.0.0.1", int(port), self._timeout())
        except OSError as error:
            return "%s: %s" % (target, _reason(error)) if wanted else None
        try:
            return self._banner(sock) if wanted else "%s still accepts connections" % target
        except OSError as error:
            return "%s: %s" % (target, _reason(error))
        finally:
            sock.close()

    def _drained(self, target):
        return _connections(int(target.rpartition(":")[2]))

    def _banner(self, sock):
        """wait_for's search_regex on a port: what the server says first must match."""
        pattern = self.spec.get("search_regex")
        if not pattern:
            return None
        sock.settimeout(self._timeout())
        data = b""
        while len(data) < _BODY_LIMIT:
            piece = sock.recv(4096)
            if not piece:
                break
            data += piece
            if _search(pattern)(data):
                return None
        return "what it says does not match %s" % pattern

    def _http(self, target):
        if target.startswith("http://"):
            answer = _plain_http(target, self._timeout())
            if isinstance(answer, str):
                return answer
            if answer[0] not in _REDIRECTS or self.spec.get("status"):
                return self._judged(target, *answer)
        return self._any_http(target)

    def _any_http(self, target):
        """What the plain way cannot do: TLS and redirects. These imports cost 60 ms of CPU."""
        import http.client  # noqa: PLC0415
        import urllib.error  # noqa: PLC0415
        import urllib.request  # noqa: PLC0415

        if not target.startswith(("http://", "https://")):
            return "%s: only http and https can be asked" % target
        request = urllib.request.Request(target, headers={"User-Agent": "benchhub"})  # noqa: S310 - looked at above
        # no proxy of the environment: the check is about this node and that server
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self._timeout()) as response:
                code, body = response.status, response.read(_BODY_LIMIT)
        except urllib.error.HTTPError as error:
            code, body = error.code, error.read(_BODY_LIMIT)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return "%s: %s" % (target, getattr(error, "reason", error))
        return self._judged(target, code, body)

    def _judged(self, target, code, body):
        accepted = self.spec.get("status") or []
        if code not in accepted if accepted else not 200 <= code < 300:
            return "%s answers with status %d" % (target, code)
        pattern = self.spec.get("body")
        if pattern and not _search(pattern)(body):
            return "%s answers, but its body does not match %s" % (target, pattern)
        return None

    def _command(self, target):
        step = dict(self.spec, kind="shell", text=target, name="the check")
        parent = os.getppid()
        pid = self.context.spawn(step, os.devnull, os.devnull)
        deadline = time.monotonic() + float(self.spec.get("timeout") or 60.0)
        pause = 0.002
        while True:
            done, code = os.waitpid(pid, os.WNOHANG)
            if done:
                return None if code == 0 else "the command ended with exit code %d" % _exit_code(code)
            if time.monotonic() >= deadline or os.getppid() != parent:
                processes.send([pid, *processes.descendants(pid)], 9)
                os.waitpid(pid, 0)
                return "the command did not end in time"
            time.sleep(pause)
            pause = min(0.05, pause * 1.5)

    def _log(self, target):
        search = _search(target)
        folder = self.spec.get("unit_folder")
        if folder is None:
            return "the check names no service whose log could be read"
        for name in ("01.out", "01.err"):
            if self._found(os.path.join(folder, name), search):
                return None
        return "nothing in the log matches %s" % target

    def _found(self, path, search):
        """Reads on from where the last look ended; an unfinished last line is looked at again."""
        try:
            file = open(path, "rb")  # noqa: SIM115
        except OSError:
            return False
        with file:
            file.seek(self._offsets.get(path, 0))
            rest = self._rests.get(path, b"")
            while True:
                chunk = file.read(_LOG_CHUNK)
                if not chunk:
                    break
                text = rest + chunk
                if search(text):
                    return True
                rest = text[text.rfind(b"\n") + 1 :][-_LINE_LIMIT:]
            self._offsets[path] = file.tell()
            self._rests[path] = rest
        return False

    def _file(self, target):
        wanted = self.spec.get("state") not in ("stopped", "absent")
        path = os.path.join(self.context.run_dir, target)
        there = os.path.exists(path)
        if there != wanted:
            return "%s %s" % (target, "does not exist" if wanted else "still exists")
        pattern = self.spec.get("search_regex")
        if not (there and wanted and pattern):
            return None
        if self._found(path, _search(pattern)):
            return None
        return "nothing in %s matches %s" % (target, pattern)


def _exit_code(code):
    return -os.WTERMSIG(code) if os.WIFSIGNALED(code) else os.WEXITSTATUS(code)


def _reason(error):
    return error.strerror or str(error) or "no answer in time"


def _search(pattern):
    """A function that says whether some bytes match; a pattern that is plain text needs no ``re`` (8 ms of CPU)."""
    encoded = pattern.encode("utf-8", "surrogateescape")
    if not any(letter in pattern for letter in ".^$*+?{}[]\\|()"):
        return lambda data: encoded in data
    import re  # noqa: PLC0415

    compiled = re.compile(encoded, re.MULTILINE)
    return lambda data: compiled.search(data) is not None


def _connect(host, port, timeout):
    """A connected socket, from the module below ``socket``, which would import enum and selectors (10 ms of CPU)."""
    problem = None
    for family, kind, protocol, _name, address in _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM):
        sock = _socket.socket(family, kind, protocol)
        sock.settimeout(timeout)
        try:
            sock.connect(address)
        except OSError as error:
            sock.close()
            problem = error
        else:
            return sock
    raise problem or OSError("there is no such host")


def _plain_http(url, timeout):
    """(Status, body) of a GET without TLS, or a text that says why there is none."""
    place, _slash, path = url[len("http://") :].partition("/")
    place, _at, query = place.partition("?")
    host, colon, port = place.rpartition(":")
    if not colon or "]" in port:
        host, port = place, "80"
    request = "GET /%s HTTP/1.0\r\nHost: %s\r\nUser-Agent: benchhub\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    target = path.partition("#")[0] or ("?" + query if query else "")
    try:
        sock = _connect(host.rpartition("@")[2].strip("[]"), int(port), timeout)
        try:
            sock.sendall((request % (target, place)).encode("latin-1", "replace"))
            data = b""
            end = time.monotonic() + timeout
            while len(data) < _BODY_LIMIT and time.monotonic() < end:
                piece = sock.recv(65536)
                if not piece:
                    break
                data += piece
        finally:
            sock.close()
    except (OSError, ValueError) as error:
        return "%s: %s" % (url, _reason(error) if isinstance(error, OSError) else error)
    head, _blank, body = data.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return "%s: what answers does not speak HTTP" % url
    return int(words[1]), body


#: Columns of /proc/net/tcp: local address, and the state LISTEN, which is no connection.
_LOCAL, _STATE, _LISTEN = 1, 3, "0A"


def _connections(port):
    """None when nothing is connected to a port of this node (wait_for's state ``drained``)."""
    wanted = ":%04X" % port
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path) as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        if any(row[_LOCAL].endswith(wanted) and row[_STATE] != _LISTEN for row in rows):
            return "port %d still has connections" % port
    return None


def poll(spec, context):
    """The outcome of polling until the check has succeeded often enough in a row, or its time is over."""
    check = Check(spec, context)
    began = time.monotonic()
    deadline = began + float(spec.get("timeout") or 60.0)
    wanted = int(spec.get("successes") or 1)
    time.sleep(min(float(spec.get("delay") or 0), deadline - began))
    attempts = successes = 0
    parent = os.getppid()
    while True:
        if os.getppid() != parent:
            os._exit(0)  # the supervisor died: nobody asks any more
        attempts += 1
        tried = time.monotonic()
        problem = check.attempt()
        successes = 0 if problem else successes + 1
        now = time.monotonic()
        if successes >= wanted or now >= deadline:
            break
        time.sleep(min(_pause(spec, now - tried), deadline - now))
    state = "ready" if successes >= wanted else "timeout"
    return {"state": state, "elapsed": now - began, "attempts": attempts, "last_error": problem}


def _pause(spec, took):
    """Seconds until the next try: what was asked for, else what suits a try that took so long."""
    if spec.get("interval"):
        return float(spec["interval"])
    if spec.get("kind") != "command":
        return _INTERVAL
    return max(_INTERVAL, min(_COMMAND_PAUSES * took, _COMMAND_PAUSE))
