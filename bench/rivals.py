"""Makes the rivals' virtual environments: ``python bench/rivals.py`` puts pyinfra and EnOSlib under .cache/bench/.

Each has its own, because EnOSlib pins an older ansible-core. The tuned playbook uses benchhub's own ansible-core.
"""

import subprocess
import sys
import venv
from pathlib import Path

BENCH = Path(__file__).resolve().parent
CACHE = BENCH.parent / ".cache" / "bench"


def python_of(rival: str) -> Path:
    """The interpreter of the rival's environment, made and filled on first use."""
    home = CACHE / rival
    python = home / "bin" / "python"
    done = home / "complete"
    requirements = BENCH / "requirements" / f"{rival}.txt"
    if done.exists() and done.read_text() == requirements.read_text():
        return python
    print(f"making {home} from {requirements.name} …", file=sys.stderr, flush=True)
    venv.create(home, with_pip=True, clear=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", requirements], check=True)
    done.write_text(requirements.read_text())
    return python


if __name__ == "__main__":
    for name in ("pyinfra", "enoslib"):
        print(python_of(name))
