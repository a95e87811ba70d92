"""What a loader printed, in the units of the job's metrics: ``result.py FILE`` prints one line of JSON.

Xephon-B ends with exit code 0 whatever happened, so its numbers are handed on, failed requests with them, for the job's
metrics to judge. A loader that printed no result is an error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def result(printed: str) -> dict[str, float]:
    """Points, points per second, latencies in ms, requests; of the last line, as Xephon-B prints it (times in ns)."""
    lines = printed.strip().splitlines()
    if not lines:
        raise ValueError("the loader printed nothing")
    told = json.loads(lines[-1])
    return {
        "points": told["totalPoints"],
        "points_per_second": told["totalPoints"] / told["duration"] * 1e9,
        "requests": told["totalRequests"],
        "failed": told["failedRequests"],
        "latency_ms": told["avgLatency"] / 1e6,
        "max_latency_ms": told["maxLatency"] / 1e6,
    }


if __name__ == "__main__":
    try:
        print(json.dumps(result(Path(sys.argv[1]).read_text())))
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        sys.exit(f"result.py: this is no result of a load: {error!r}")
