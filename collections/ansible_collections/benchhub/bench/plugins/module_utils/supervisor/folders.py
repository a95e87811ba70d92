"""Removing folders whose content is not ours: no link is followed, and what cannot be removed is told."""

import os

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
#: Enough to find the cause; a folder of another user can hold any number of files.
_TOLD = 20
#: In the run folder: where Ansible keeps the results of its async jobs.
ASYNC = ".async"


def remove_tree(folder, keep=None):
    """Removes a folder and all in it; returns what could not be removed.

    With ``keep`` the folder itself stays, and of its entries those for which ``keep(name)`` holds.
    """
    left = []
    try:
        handle = os.open(folder, _FLAGS)
    except FileNotFoundError:
        return left
    except OSError as error:
        return ["%s: %s" % (folder, error.strerror)]
    try:
        _clear(handle, folder, left, keep)
    except RecursionError:
        left.append("%s: it is too deep" % folder)
    finally:
        os.close(handle)
    if keep is None:
        _try(os.rmdir, folder, folder, left)
    return left[:_TOLD]


def _clear(handle, path, left, keep=None):
    with os.scandir(handle) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if keep is not None and keep(name):
            continue
        full = os.path.join(path, name)
        if is_folder:
            _try(_descend, name, full, left, handle)
            _try(os.rmdir, name, full, left, handle)
        else:
            _try(os.unlink, name, full, left, handle)


def _descend(name, dir_fd, full, left):
    try:
        inner = os.open(name, _FLAGS, dir_fd=dir_fd)
    except PermissionError:  # a folder without rights, as some build tools leave them
        os.chmod(name, 0o700, dir_fd=dir_fd)
        inner = os.open(name, _FLAGS, dir_fd=dir_fd)
    try:
        _clear(inner, full, left)
    finally:
        os.close(inner)


def _try(action, name, full, left, handle=None):
    """One removal; a read-only folder of ours is made writable once."""
    arguments = {} if handle is None else {"dir_fd": handle}
    if action is _descend:
        arguments.update(full=full, left=left)
    try:
        try:
            action(name, **arguments)
        except PermissionError:
            if handle is None or action is _descend:
                raise
            os.fchmod(handle, 0o700)
            action(name, **arguments)
    except FileNotFoundError:
        return
    except OSError as error:
        left.append("%s: %s" % (full, error.strerror))
