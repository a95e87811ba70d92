"""How a run ended: its status, the exit code that goes with it, and why."""

from __future__ import annotations

from benchhub_ansible.errors import ExitCode
from benchhub_ansible.results import fields
from benchhub_ansible.results.model import Failure, Sample, StageRun, Verdict
from benchhub_ansible.results.record import RunRecord

_EXIT_CODES = {
    "success": ExitCode.SUCCESS,
    "failed": ExitCode.BENCHMARK,
    "invalid": ExitCode.BENCHMARK,
    "interrupted": ExitCode.INTERRUPTED,
    "lost": ExitCode.NODES,
}


def verdict(
    record: RunRecord, stages: tuple[StageRun, ...], found: tuple[Sample, ...], failed: tuple[Failure, ...]
) -> Verdict:
    """What the controller said of the end, if it did, else what the events prove; success only with valid samples."""
    failure = failed[0] if failed else None
    ending = record.ending
    if ending is not None:
        status, reason, code = ending.status, ending.reason, ending.exit_code
    else:
        status, reason, code = *_derived(record, stages, failure), None
    if status not in _EXIT_CODES and status != "running":
        status, reason = "failed", f"the run ended with the unknown status {status!r}"
    if status == "success":
        # a controller's word is not enough: every stage has to be known to have ended well
        torn_down = bool(record.first("teardown-begin"))  # else it is kept: clean-up stages are still to come
        proven, why = _proven(tuple(stage for stage in stages if torn_down or not stage.cleanup), failure)
        invalid = invalid_reason(found)
        if proven != "success":
            status, reason, code = proven, why, None
        elif invalid is not None:
            status, reason, code = "invalid", invalid, None
    if failure is not None and reason is None:
        reason = failure.message
    if code is None and status in _EXIT_CODES:
        ours = status == "failed" and failure is not None and failure.kind == "node"
        code = int(ExitCode.NODES if ours else _EXIT_CODES[status])
    return Verdict(status=status, reason=reason, exit_code=code, failure=failure)


def _derived(record: RunRecord, stages: tuple[StageRun, ...], failure: Failure | None) -> tuple[str, str | None]:
    """Status and reason of a run whose controller has not said how it ended."""
    if record.running:
        return "running", "its controller is still at work"
    if record.first("submitted") and not record.first("begun"):
        return "running", "it was handed to the scheduler and has not begun; `benchhub status` tells what it waits for"
    if next(record.named("recovered"), None) is not None:
        return "interrupted", "its controller ended without a word; recovered afterwards"
    if next(record.named("teardown-end", "released"), None) is None:
        return "lost", "its controller ended without a word; `benchhub recover` ends what it left"
    asked = record.first("stop-asked")
    if asked:
        reason = fields.text(asked.get("reason")) or "asked to stop"
        return ("failed", "the run took longer than its limit") if reason == "timeout" else ("interrupted", reason)
    return _proven(stages, failure)


def _proven(stages: tuple[StageRun, ...], failure: Failure | None) -> tuple[str, str | None]:
    """Status and reason of a run that came to its end undisturbed."""
    if failure is not None:
        return "failed", failure.message
    undone = next((stage for stage in stages if stage.status not in ("ok", "skipped")), None)
    if undone is not None:
        return "failed", f"stage {undone.title!r} is {undone.status}"
    return ("success", None) if stages else ("failed", "nothing ran")


def invalid_reason(found: tuple[Sample, ...]) -> str | None:
    """The first required measured sample that cannot be used, in words, or None."""
    for sample in found:
        if sample.required and not sample.warmup and not sample.valid:
            state = "is missing" if sample.value is None else "is invalid"
            return f"metric {sample.metric} of {sample.stage} on {sample.slot} {state}: {sample.why}"
    return None
