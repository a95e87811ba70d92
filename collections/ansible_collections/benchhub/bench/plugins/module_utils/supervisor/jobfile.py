"""The file that ansible.builtin.async_status reads for a service's job id."""

import os

from . import status, wire


def place(request, config):
    """Notes in the request where the file of its job id is, and whose; async_status looks as the login user."""
    name, folder = request.get("async_jid"), config.get("async_dir")
    if not name or not folder:
        return
    owner = config.get("login_uid") if os.geteuid() == 0 else None
    if owner is not None and folder.startswith("~"):
        import pwd  # noqa: PLC0415 - only where root serves another user

        try:
            folder = pwd.getpwuid(owner).pw_dir + folder[1:]
        except KeyError:
            return
    request["async_file"] = os.path.join(os.path.expanduser(folder), os.path.basename(str(name)))
    request["async_owner"] = owner


def write(request, content):
    """Replaces the file. The folder can be another user's: no link in it is followed."""
    path = request.get("async_file")
    if not path:
        return
    owner = request.get("async_owner")
    try:
        _folder(os.path.dirname(path), owner)
        beside = "%s.benchhub-%d" % (path, os.getpid())
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            if owner is not None:
                os.fchown(handle, owner, -1)
            os.write(handle, wire.dumps(dict(content, ansible_job_id=os.path.basename(path))).encode())
        finally:
            os.close(handle)
        os.rename(beside, path)
    except OSError:
        return  # async_status then finds no job; the supervisor's own status stays the truth


def _folder(folder, owner):
    if os.path.isdir(folder):
        return
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if owner is not None:
        os.chown(folder, owner, -1, follow_symlinks=False)


def finished(record, out, err, masks):
    """What async_status tells of a service that has ended."""
    code = record["exit"]
    if code is None:
        code = -(record["signal"] or 0)
    return {
        "started": 1,
        "finished": 1,
        "rc": code,
        "stdout": "\n".join(status.tail([out], masks)),
        "stderr": "\n".join(status.tail([err], masks)),
        "failed": record["state"] == "failed",
        "changed": True,
        "start": record["start"],
        "end": record["end"],
    }


def remove(request):
    """Forgets the job: the run is over."""
    if request.get("async_file"):
        try:
            os.unlink(request["async_file"])
        except OSError:
            return
