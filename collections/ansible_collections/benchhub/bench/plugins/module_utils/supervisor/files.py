"""File steps: putting content or a folder where the job wants it, in the step's own process and as its user."""

import binascii
import os


def write(step, source):
    """0 when the file or folder is there as asked; 1 with the reason in the error output otherwise."""
    try:
        if step.get("directory"):
            _unpack(step, source)
        else:
            _write_file(step, source)
    except (OSError, ValueError, KeyError) as error:
        reason = getattr(error, "strerror", None) or error
        text = "benchhub: %s cannot be written: %s\n" % (step.get("dest"), reason)
        os.write(2, text.encode("utf-8", "replace"))
        return 1
    return 0


def _write_file(step, source):
    """Writes beside the target and renames, so that nobody ever reads half a file."""
    dest = step["dest"]
    if os.path.isdir(dest):
        raise IsADirectoryError(21, "it is a folder")
    beside = "%s.benchhub-%d" % (dest, os.getpid())
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            if source is None:
                file.write(binascii.a2b_base64(step["content"]))
            else:
                _copy(source, file)
        os.chmod(beside, _mode(step, 0o644))
        _own(beside, step)
        os.rename(beside, dest)
    except BaseException:
        os.unlink(beside)
        raise


def _unpack(step, source):
    import tarfile  # noqa: PLC0415 - only folders need it

    root = os.path.join(step["dest"], step.get("prefix") or "")
    os.makedirs(root, exist_ok=True)
    with os.fdopen(source, "rb") as file, tarfile.open(fileobj=file) as archive:
        for member in archive:  # made by our own controller, still never trusted to stay below its folder
            if os.path.isabs(member.name) or ".." in member.name.split("/"):
                raise ValueError("%r would leave the folder" % member.name)
            path = os.path.join(root, member.name)
            if member.isdir():
                os.makedirs(path, exist_ok=True)
            elif member.isfile():
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as target:
                    _copy(archive.extractfile(member), target)
                os.chmod(path, _mode(step, member.mode & 0o777))
            _own(path, step)


def _copy(source, target):
    while True:
        chunk = os.read(source, 1 << 20) if isinstance(source, int) else source.read(1 << 20)
        if not chunk:
            return
        target.write(chunk)


def _mode(step, default):
    mode = step.get("mode")
    if mode is None:
        return default
    try:
        return int(str(mode), 8)
    except ValueError:
        raise ValueError("mode %r is not an octal number such as 0644" % mode) from None


def _own(path, step):
    if not (step.get("owner") or step.get("group")):
        return
    import grp  # noqa: PLC0415
    import pwd  # noqa: PLC0415

    uid = pwd.getpwnam(step["owner"]).pw_uid if step.get("owner") else -1
    gid = grp.getgrnam(step["group"]).gr_gid if step.get("group") else -1
    os.chown(path, uid, gid)
