"""Packing what a run leaves on its node: outputs, status files and what the job collects, masked and of bounded size.

The tar and gzip formats are written here by hand (POSIX.1-2001 pax): importing tarfile costs a node more CPU than
everything else at the end of a run.
"""

import binascii
import os
import zlib

from .masking import Masker, apart

_CHUNK = 1 << 20
_HEAD = 1 << 20
#: Where there is no room on the disk: so much of each file comes home, and so much of all of them, in bytes.
_ENDS = 8 << 10
_HURRIED = 256 << 10
_TOLD = 20
_OWN_FOLDER = ".benchhub"
_REGULAR = 0o100000


def pack(folder, request, masks, owner=None):
    """Makes the archive; returns the reply: inline (base64) or path and size, and what is not in it.

    Up to ``inline`` bytes nothing is written to the disk. A larger archive is made in the supervisor's own folder,
    which nobody else can reach, and moved when it is whole; ``owner`` is the user who has to be able to read it. Where
    the disk has no room for it, the ends of all files come inline.
    """
    limit = int(request.get("limit") or 64 << 20)
    inline = int(request.get("inline", 262144))
    destination = os.path.join(folder, _OWN_FOLDER, "archive.%d" % os.getpid())
    public = os.path.join(folder, ".archive.tar.gz")
    lost = []
    try:
        _remove(public)  # of an earlier call
        archive = _Archive(destination, inline)
        reply = _fill(archive, folder, request, masks, limit)
    except OSError as error:
        lost.append("all but the ends of outputs and files: %s: %s" % (folder, error.strerror))
        _remove(destination)
        archive = _Archive(None, max(inline, _HURRIED))
        reply = _fill(archive, folder, request, masks, min(limit, _ENDS))
        reply["cut"] = []  # all of them were
    reply["lost"] = lost + reply["lost"]
    if archive.path is None:
        reply["inline"] = binascii.b2a_base64(archive.data, newline=False).decode()
        return reply
    if owner is not None:
        os.chown(destination, owner, -1)
    os.rename(destination, public)
    return dict(reply, path=public, size=os.path.getsize(public))


def _fill(archive, folder, request, masks, limit):
    """Puts everything into the archive and closes it; what to reply of it."""
    missing = []
    with archive:
        for path, name in _outputs(os.path.join(folder, _OWN_FOLDER)) if request.get("outputs", True) else ():
            archive.add(path, name, limit, masks)
        for pattern in request.get("collect") or []:
            found = _matches(os.path.join(folder, pattern))
            if not found:
                missing.append(pattern)
            for path in found:
                for file in _files(path):
                    archive.add(file, "files/" + os.path.abspath(file).lstrip("/"), limit, masks)
    told = {"missing": missing, "unreadable": archive.unreadable, "cut": archive.cut, "lost": archive.lost}
    return dict({key: _few(items) for key, items in told.items()}, ok=True)


def _few(items):
    """The first of many: a folder can hold any number of files that cannot be read."""
    return items if len(items) <= _TOLD else [*items[:_TOLD], "and %d more" % (len(items) - _TOLD)]


def _remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _matches(pattern):
    """The paths that a pattern means; the last part of a path may be a link, which is told and not followed."""
    if not any(letter in pattern for letter in "*?["):
        return [pattern] if os.path.lexists(pattern) else []
    import glob  # noqa: PLC0415 - it imports re: 8 ms of CPU

    return sorted(glob.glob(pattern, recursive=True))


def _outputs(folder):
    for top, _folders, files in os.walk(os.path.join(folder, "units")):
        for name in sorted(files):
            path = os.path.join(top, name)
            yield path, os.path.relpath(path, folder)
    yield os.path.join(folder, "log"), "supervisor.log"


def _files(path):
    """The plain files at or below a path; links are not followed out of it."""
    if os.path.isdir(path) and not os.path.islink(path):
        for top, folders, files in os.walk(path):
            if _OWN_FOLDER in folders:
                folders.remove(_OWN_FOLDER)
            folders.sort()
            for name in sorted(files):
                yield os.path.join(top, name)
    else:
        yield path


def _is_regular(facts):
    return facts.st_mode & 0o170000 == _REGULAR


class _Archive:
    """Bytes in ``data`` while they are few; else the file ``path``. Without a destination what is too much is lost."""

    def __init__(self, destination, inline):
        self._destination = destination
        self._inline = inline
        self._file = None
        self._zip = zlib.compressobj(1, zlib.DEFLATED, 31)
        self.data = bytearray()
        self.path = None
        self.unreadable = []
        self.cut = []
        self.lost = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_error):
        try:
            if kind is None:
                self._write(b"\0" * 1024)
                self._put(self._zip.flush())
        finally:
            if self._file is not None:
                self._file.close()

    def add(self, path, name, limit, masks):
        """Adds one file. Masking changes its length, so what is larger than a chunk is masked into a file first."""
        if self._destination is None and len(self.data) + limit > self._inline:
            self.lost.append("%s: there is no room for it" % path)
            return
        try:
            if not _is_regular(os.lstat(path)):  # looked at first: opening a device can do things
                if os.path.islink(path):
                    self.unreadable.append("%s: it is a link" % path)
                return
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as error:
            self.unreadable.append("%s: %s" % (path, error.strerror))
            return
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(handle)
            if not _is_regular(facts):
                return
            if facts.st_size <= min(_CHUNK, limit):
                masker = Masker(masks)
                text = masker.feed(file.read(_CHUNK)) + masker.end()
                self._header(name, len(text), facts.st_mtime)
                self._write(text)
                self._pad(len(text))
            else:
                if facts.st_size > limit:
                    self.cut.append("%s: %d bytes of its middle" % (path, facts.st_size - limit))
                self._large(file, facts, name, limit, masks)

    def _large(self, file, facts, name, limit, masks):
        with self._part() as part:
            masker = Masker(masks)
            part.writelines(masker.feed(chunk) for chunk in _kept(file, facts.st_size, limit, masks))
            part.write(masker.end())
            size = part.tell()
            part.seek(0)
            self._header(name, size, facts.st_mtime)
            while True:
                chunk = part.read(_CHUNK)
                if not chunk:
                    break
                self._write(chunk)
            self._pad(size)

    def _part(self):
        if self._destination is None:
            import io  # noqa: PLC0415 - only where there is no room

            return io.BytesIO()
        beside = self._destination + ".part"
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(beside)
        return open(handle, "w+b")

    def _header(self, name, size, mtime):
        encoded = name.encode("utf-8", "surrogateescape")
        if len(encoded) > 100:
            record = _pax(b"path", encoded)
            self._block(b"pax", len(record), mtime, b"x")
            self._write(record)
            self._pad(len(record))
            encoded = encoded[-100:]
        self._block(encoded, size, mtime, b"0")

    def _block(self, name, size, mtime, kind):
        block = bytearray(512)
        block[0 : len(name)] = name
        block[100:107] = b"0000644"
        block[108:115] = block[116:123] = b"0000000"
        block[124:135] = b"%011o" % size
        block[136:147] = b"%011o" % max(0, int(mtime))
        block[148:156] = b" " * 8
        block[156:157] = kind
        block[257:265] = b"ustar\x0000"
        block[148:155] = b"%06o\0" % sum(block)
        self._write(bytes(block))

    def _pad(self, size):
        self._write(b"\0" * (-size % 512))

    def _write(self, data):
        self._put(self._zip.compress(data))

    def _put(self, packed):
        if self._file is None:
            self.data += packed
            if self._destination is None or len(self.data) <= self._inline:
                return
            handle = os.open(self._destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file, self.path = os.fdopen(handle, "wb"), self._destination
            packed, self.data = self.data, b""
        self._file.write(packed)


def _pax(key, value):
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def _kept(file, size, limit, masks):
    """The chunks of a file, or of its beginning and end with a line between that says what was left out."""
    if size <= limit:
        yield from _chunks(file, size)
        return
    head = min(_HEAD, limit // 2)
    # half a secret would be none to look for: what is cut there is left out whole
    end, begin = apart(file, head, masks)[0], apart(file, size - limit + head, masks)[1]
    file.seek(0)
    yield from _chunks(file, end)
    yield b"\n*** benchhub left out %d bytes here ***\n" % (begin - end)
    file.seek(begin)
    yield from _chunks(file, size - begin)


def _chunks(file, size):
    while size > 0:
        chunk = file.read(min(_CHUNK, size))
        if not chunk:
            return
        size -= len(chunk)
        yield chunk
