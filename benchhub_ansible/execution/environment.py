"""The environment Ansible gets: small, because ansible-runner writes all of it into the run folder."""

from __future__ import annotations

import configparser
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

#: What programs need to work at all; everything else of the user's environment stays out of the run folder.
_PASSED = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TERM")
#: Which Slurm cluster srun is to speak to; other SLURM_* variables are those of a Slurm job we may be in.
_PASSED_FOR_SRUN = ("SLURM_CONF", "SLURM_CLUSTERS")
#: Where this machine's docker or podman is, for jobs that run here.
_PASSED_FOR_ENGINES = (
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
    *("CONTAINER_HOST", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "REGISTRY_AUTH_FILE"),
)
_PASSED_FOR_SSH = ("SSH_AUTH_SOCK", "KRB5CCNAME", "XDG_RUNTIME_DIR")

#: Options of the user's own ansible.cfg that say how to reach nodes; the project's ansible.cfg would hide them.
_CONNECTION_OPTIONS = {
    ("defaults", "host_key_checking"): "ANSIBLE_HOST_KEY_CHECKING",
    ("defaults", "remote_user"): "ANSIBLE_REMOTE_USER",
    ("defaults", "private_key_file"): "ANSIBLE_PRIVATE_KEY_FILE",
    ("defaults", "vault_password_file"): "ANSIBLE_VAULT_PASSWORD_FILE",
    ("defaults", "vault_identity_list"): "ANSIBLE_VAULT_IDENTITY_LIST",
    ("defaults", "timeout"): "ANSIBLE_TIMEOUT",
    ("ssh_connection", "ssh_common_args"): "ANSIBLE_SSH_COMMON_ARGS",
    ("ssh_connection", "ssh_executable"): "ANSIBLE_SSH_EXECUTABLE",
}


def ansible_environment(
    environ: Mapping[str, str], *, run_id: str, control_path_dir: str, passed: Sequence[str] = (), cwd: Path
) -> dict[str, str]:
    """The whole environment of ansible-playbook. ``passed``: names, or prefixes ending in ``*``, to pass as well."""
    names = (*_PASSED, *_PASSED_FOR_SSH, *_PASSED_FOR_SRUN, *_PASSED_FOR_ENGINES)
    kept = {name: environ[name] for name in names if name in environ}
    kept.update({name: value for name, value in environ.items() if _is_passed(name, passed)})
    kept.update(_connection_options(environ, cwd))
    if "ANSIBLE_INVENTORY_ENABLED" in kept:
        kept["ANSIBLE_INVENTORY_ENABLED"] += ",auto"  # our own inventories name their plugin
    path = environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{path}",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": control_path_dir,
        "BENCHHUB_CONTROLLER": run_id,
    }


def _is_passed(name: str, passed: Sequence[str]) -> bool:
    # ANSIBLE_* of the user counts (ssh arguments, vault files, plugin paths); his ansible.cfg is looked at apart.
    if name == "ANSIBLE_CONFIG":
        return False
    patterns = ("ANSIBLE_*", *passed)
    return any(name == p or (p.endswith("*") and name.startswith(p[:-1])) for p in patterns)


def _user_config(environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The ansible.cfg that plain Ansible would use here, searched in its order."""
    home = Path(environ.get("HOME", "/"))
    named = [Path(environ["ANSIBLE_CONFIG"])] if environ.get("ANSIBLE_CONFIG") else []
    candidates = (*named, cwd / "ansible.cfg", home / ".ansible.cfg", Path("/etc/ansible/ansible.cfg"))
    return next((path for path in candidates if path.is_file()), None)


def _connection_options(environ: Mapping[str, str], cwd: Path) -> dict[str, str]:
    path = _user_config(environ, cwd)
    options: dict[str, str] = {}
    if path is None:
        return options
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return options  # Ansible itself says what is wrong with it
    for (section, option), variable in _CONNECTION_OPTIONS.items():
        value = parser.get(section, option, fallback="").strip()
        if value and variable not in environ:
            options[variable] = str(path.parent / Path(value).expanduser()) if option.endswith("_file") else value
    return options
