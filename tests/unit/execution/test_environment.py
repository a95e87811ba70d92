from __future__ import annotations

from pathlib import Path

from benchhub_ansible.execution.environment import ansible_environment


def _environment(tmp_path: Path, environ: dict[str, str], passed: tuple[str, ...] = ()) -> dict[str, str]:
    environ = {"HOME": str(tmp_path / "home"), "PATH": "/bin", **environ}
    return ansible_environment(environ, run_id="R", control_path_dir="/tmp/bh", passed=passed, cwd=tmp_path)


def test_only_what_is_needed_is_passed(tmp_path: Path) -> None:
    given = {"AWS_SECRET": "s", "PGPASSWORD": "p", "SSH_AUTH_SOCK": "/sock", "ANSIBLE_VERBOSITY": "1"}
    found = _environment(tmp_path, given)
    assert "AWS_SECRET" not in found
    assert "PGPASSWORD" not in found
    assert found["SSH_AUTH_SOCK"] == "/sock"
    assert found["ANSIBLE_VERBOSITY"] == "1"
    assert found["BENCHHUB_CONTROLLER"] == "R"
    assert found["PATH"].endswith(":/bin")


def test_what_a_dynamic_inventory_needs_can_be_named(tmp_path: Path) -> None:
    given = {"AWS_SECRET": "s", "AWS_REGION": "r", "OTHER": "o"}
    found = _environment(tmp_path, given, passed=("AWS_*",))
    assert (found["AWS_SECRET"], found["AWS_REGION"]) == ("s", "r")
    assert "OTHER" not in found


def test_our_own_inventories_are_read_whatever_plugins_the_user_enables(tmp_path: Path) -> None:
    assert "ANSIBLE_INVENTORY_ENABLED" not in _environment(tmp_path, {})
    found = _environment(tmp_path, {"ANSIBLE_INVENTORY_ENABLED": "ini,yaml"})
    assert found["ANSIBLE_INVENTORY_ENABLED"] == "ini,yaml,auto"


def test_host_key_checking_is_the_users_decision(tmp_path: Path) -> None:
    assert "ANSIBLE_HOST_KEY_CHECKING" not in _environment(tmp_path, {})
    (tmp_path / "ansible.cfg").write_text(
        "[defaults]\nhost_key_checking = False\nvault_password_file = secrets/vault\nforks = 3\n"
        "[ssh_connection]\nssh_common_args = -o ProxyJump=gate%(x)s\n"
    )
    found = _environment(tmp_path, {})
    assert found["ANSIBLE_HOST_KEY_CHECKING"] == "False"
    assert found["ANSIBLE_VAULT_PASSWORD_FILE"] == str(tmp_path / "secrets/vault")
    assert found["ANSIBLE_SSH_COMMON_ARGS"] == "-o ProxyJump=gate%(x)s"
    assert "ANSIBLE_FORKS" not in found
    assert _environment(tmp_path, {"ANSIBLE_HOST_KEY_CHECKING": "True"})["ANSIBLE_HOST_KEY_CHECKING"] == "True"


def test_the_config_that_ansible_would_use_is_looked_at(tmp_path: Path) -> None:
    other = tmp_path / "other.cfg"
    other.write_text("[defaults]\nremote_user = bench\n")
    (tmp_path / "ansible.cfg").write_text("[defaults]\nremote_user = nobody\n")
    found = _environment(tmp_path, {"ANSIBLE_CONFIG": str(other)})
    assert found["ANSIBLE_REMOTE_USER"] == "bench"
    assert "ANSIBLE_CONFIG" not in found, "the project's own file must count"
    other.write_text("not an ini file")
    assert "ANSIBLE_REMOTE_USER" not in _environment(tmp_path, {"ANSIBLE_CONFIG": str(other)})
