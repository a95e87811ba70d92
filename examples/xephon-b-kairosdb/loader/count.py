"""Whether KairosDB holds what this loader sent: ``count.py http://HOST:PORT PREFIX PRINTED`` prints one line of JSON.

Counts the points of all series whose names begin with PREFIX until they are as many as PRINTED, the loader's result,
says (KairosDB answers before it has stored), and gives up after 60 s without a further point. ``lost`` is what is
missing. Xephon-B gives all points of a batch's series one instant, and its workers write the same series; a database
keeps one point of an instant, so ``lost`` is told of k6 alone.
API: https://kairosdb.github.io/docs/restapi/QueryMetrics.html
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

PATIENCE = 60.0
FAR = 4102444800000  # 2100-01-01 in ms; a bucket of a hundred years makes one count of each series


def call(url: str, body: object = None) -> dict[str, list[dict[str, object]]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        told: dict[str, list[dict[str, object]]] = json.load(answer)
    return told


def stored(base: str, prefix: str) -> int:
    """How many points the database holds of all metrics with that prefix."""
    names = [name for name in call(f"{base}/api/v1/metricnames")["results"] if str(name).startswith(prefix)]
    if not names:
        return 0
    count = {"name": "count", "sampling": {"value": 100, "unit": "years"}}
    query = {
        "start_absolute": 1,
        "end_absolute": FAR,
        "metrics": [{"name": name, "aggregators": [count]} for name in names],
    }
    answer = call(f"{base}/api/v1/datapoints/query", query)
    return sum(int(value) for told in answer["queries"] for series in told["results"] for _, value in series["values"])


def settled(base: str, prefix: str, sent: int) -> int:
    """The count when it has reached what was sent, or has not grown for a while."""
    found, grown = stored(base, prefix), time.monotonic()
    while found < sent and time.monotonic() - grown < PATIENCE:
        time.sleep(0.5)
        now = stored(base, prefix)
        if now > found:
            found, grown = now, time.monotonic()
    return found


def main(base: str, prefix: str, printed: Path) -> int:
    sent = int(json.loads(printed.read_text().strip().splitlines()[-1])["totalPoints"])
    if os.environ.get("LOADER") == "xephon-b":
        print(json.dumps({"stored": stored(base, prefix)}))
        return 0
    found = settled(base, prefix, sent)
    print(json.dumps({"sent": sent, "stored": found, "lost": sent - found}))
    return 0 if found == sent else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1].rstrip("/"), sys.argv[2], Path(sys.argv[3])))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"count.py: {error!r}")
