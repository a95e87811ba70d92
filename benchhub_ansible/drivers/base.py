"""What a driver is: it turns the parameters of a task into a step for the supervisor, or into a task for Ansible.

A driver plugin is a class without arguments, named in the entry-point group ``benchhub.drivers``. It is asked for
plain data and does nothing itself; what it returns is written to the playbook, in both profiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from benchhub_ansible import registry
from benchhub_ansible.errors import PluginError

#: Turns a text of the plan into what Ansible's templating makes the same bytes of, references filled in.
Render = Callable[[str], str]


class Driver(Protocol):
    """A kind of task. All values may hold references (values.py); the collection fills them in on the way to a node."""

    name: str
    #: Whether a task of it may be long-running.
    serves: bool

    def problem(self, params: Any) -> str | None:
        """What is wrong with the parameters, in one sentence; None when nothing is."""
        ...

    def step(self, params: Any) -> Mapping[str, Any]:
        """Exactly one of ``shell`` (with ``executable``), ``argv``, ``container``, ``copy``, ``template``, ``fetch``.

        What they hold is said by the options of ``benchhub.bench.start``.
        """
        ...

    def shutdown(self, params: Any, grace: float) -> Mapping[str, Any] | None:
        """How a service of this driver is asked to end within ``grace`` seconds, as a step; None: signals do."""
        ...


@runtime_checkable
class AnsibleDriver(Protocol):
    """A kind of task that Ansible itself runs: only ``module`` and ``role``."""

    name: str

    def problem(self, params: Any) -> str | None:
        """What is wrong with the parameters, in one sentence; None when nothing is."""
        ...

    def task(self, params: Any, render: Render) -> Mapping[str, Any]:
        """The task for a play: the full name of the module, and its arguments with every text rendered."""
        ...


class Supervised:
    """What most drivers have in common: run and finish, no shutdown of their own, parameters checked by ``problem``."""

    serves = False

    def shutdown(self, params: Any, grace: float) -> Mapping[str, Any] | None:  # noqa: ARG002 - others look at it
        """None: a signal ends it."""
        return None


def unknown_keys(params: Mapping[str, Any], known: tuple[str, ...]) -> str | None:
    """A sentence on keys that a driver does not know; None when it knows all."""
    unknown = [str(key) for key in params if key not in known]
    return f"unknown: {', '.join(unknown)}; it knows {', '.join(known)}" if unknown else None


def render_all(value: Any, render: Render) -> Any:
    """Free data with every text rendered, keys as they are; tuples as lists, as YAML has them."""
    if isinstance(value, str):
        return render(value)
    if isinstance(value, Mapping):
        return {key: render_all(item, render) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render_all(item, render) for item in value]
    return value


def driver(name: str) -> Driver:
    """The driver of that name; PluginError when there is none, it does not load, or it is one that Ansible runs."""
    made = registry.load("driver", name)()
    if isinstance(made, AnsibleDriver) or not hasattr(made, "step"):
        raise PluginError(f"driver {name!r} makes no steps", hint="it needs the methods problem, step and shutdown")
    result: Driver = made
    return result


def ansible_driver(name: str) -> AnsibleDriver:
    """The driver of that name, which Ansible runs; PluginError when it is none of these."""
    made = registry.load("driver", name)()
    if not isinstance(made, AnsibleDriver):
        raise PluginError(f"driver {name!r} is not run by Ansible")
    return made
