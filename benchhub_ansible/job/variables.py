"""Setting the variables of a job from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from benchhub_ansible.errors import UsageError
from benchhub_ansible.job.model import Job
from benchhub_ansible.job.suggest import closest


def with_variables(job: Job, variables: Mapping[str, str]) -> Job:
    """The job with some of its ``vars`` set from outside; UsageError for a name that it does not have."""
    for name in variables:
        if name not in job.vars:
            close = closest(name, job.vars)
            hint = f"did you mean {close!r}?" if close else f"its vars are: {', '.join(job.vars) or 'none'}"
            raise UsageError(f"--var {name}: the job has no variable {name!r}", hint=hint)
    return replace(job, vars={**job.vars, **variables})
