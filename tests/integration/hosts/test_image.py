"""The image of the nodes: made once for all, and nothing of it is left when the making is broken off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.schedulers.docker import image
from benchhub_ansible.schedulers.docker.engine import Engine
from benchhub_ansible.testing import engine as engines

pytestmark = pytest.mark.real


def never() -> bool:
    return False


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docker_engine: engines.Engine) -> Callable[[str], None]:
    """Sets a small recipe in the place of the real one, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def set_recipe(text: str) -> None:
        path = tmp_path / "recipe.sh"
        path.write_text(f"# for {tmp_path}\nset -eu\n{text}")
        monkeypatch.setattr(image, "_SCRIPT", path)

    return set_recipe


def test_two_runs_at_once_make_it_once(
    recipe: Callable[[str], None], tmp_path: Path, docker_engine: engines.Engine
) -> None:
    count = tmp_path / "made"
    recipe(f'echo made >> \'{count}\'; echo \'== import\'; tar -cf "$1/t" -C /bin true; docker import "$1/t" "$2"\n')
    told: list[str] = []
    names: list[str] = []
    runs = [
        threading.Thread(
            target=lambda at=tmp_path / f"at-{number}": names.append(
                image.make(Engine(), at, progress=told.append, cancelled=never)
            )
        )
        for number in (1, 2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(120)
    assert names == [image.default_image()] * 2
    assert count.read_text() == "made\n"
    assert "image of the nodes: import" in told
    docker_engine("rmi", names[0])


def test_another_recipe_is_another_image(recipe: Callable[[str], None]) -> None:
    recipe("true\n")
    first = image.default_image()
    recipe("false\n")
    assert image.default_image() != first


def test_a_recipe_that_fails_tells_its_last_lines(recipe: Callable[[str], None], tmp_path: Path) -> None:
    recipe("echo the mirror is away >&2; exit 1\n")
    with pytest.raises(SchedulerError, match="the mirror is away"):
        image.make(Engine(), tmp_path / "at", progress=lambda _: None, cancelled=never)
    assert not image.is_there(Engine(), image.default_image())


def test_the_end_of_the_user_ends_the_real_making_with_its_processes_and_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(image, "_PACKAGES", ("hello",))  # another image than the one the tests use
    at = tmp_path / "at"
    told: list[str] = []
    with pytest.raises(SchedulerError, match="ended before there were nodes"):
        image.make(Engine(), at, progress=told.append, cancelled=lambda: any("base system" in t for t in told))
    assert list(at.iterdir()) == []
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [command for command in commands if str(at) in command] == []
    assert str(at) not in Path("/proc/self/mountinfo").read_text()
    assert not image.is_there(Engine(), image.default_image())
