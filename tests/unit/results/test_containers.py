"""What a result says of containers, whatever a node says of them."""

from __future__ import annotations

from typing import Any

from benchhub_ansible.results.containers import _container, _told

DIGEST = f"registry.example.net/redis@sha256:{'a' * 64}"


def test_the_digest_of_a_registry_and_the_id_with_its_algorithm() -> None:
    raw = {"engine": "docker", "digests": [DIGEST], "image_id": "b" * 64, "name": "/kv", "exit": 137, "oom": True}
    made = _container(raw, "serve", "db")
    assert (made.digest, made.image_id, made.name) == (DIGEST, f"sha256:{'b' * 64}", "kv")
    assert (made.exit_code, made.oom_killed) == (137, True)


def test_what_is_none_is_told_as_missing() -> None:
    raw = {"digests": ["<script>", 7], "image_id": None, "name": "", "exit": "7", "oom": 1}
    made = _container(raw, "serve", "db")
    assert (made.digest, made.image_id, made.name, made.exit_code, made.oom_killed) == (None, None, None, None, None)


def test_those_of_a_unit_and_of_its_steps() -> None:
    status: dict[str, Any] = {"containers": [{"name": "a"}], "steps": [{"containers": [{"name": "b"}]}, "odd", {}]}
    assert [item.get("name") for item in _told(status)] == ["a", "b"]
    assert list(_told({"containers": "odd"})) == []
