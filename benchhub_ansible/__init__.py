"""benchhub: compiles a database benchmark job into Ansible playbooks, runs them, and reports what can be trusted."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("benchhub-ansible")
except PackageNotFoundError:  # running from a tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
