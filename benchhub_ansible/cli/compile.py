"""``benchhub compile``: a job as a folder of plain Ansible."""

from __future__ import annotations

import json
from pathlib import Path

import click

from benchhub_ansible import resources
from benchhub_ansible.cli.options import settings_for
from benchhub_ansible.cli.validate import load_named, print_warnings
from benchhub_ansible.errors import SchedulerError
from benchhub_ansible.plan.build import make_plan
from benchhub_ansible.plan.data import plan_to_data
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.playbook.folder import PROFILES, own, write_project
from benchhub_ansible.playbook.inventory import inventory
from benchhub_ansible.schedulers.base import Request
from benchhub_ansible.schedulers.where import DEFAULT_WHERE, usable_scheduler
from benchhub_ansible.values import slug

_EPILOG = """\b
Examples:
  benchhub compile job.yml -o out
  cd out/project && ansible-playbook -i ../inventory/hosts.yml site.yml
  benchhub compile job.yml -o out --on inventory:hosts.ini --profile portable"""


@click.command("compile", epilog=_EPILOG)
@click.argument("job", type=click.Path(allow_dash=True))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option("--on", "where", metavar="WHERE", help="Where nodes come from: local, inventory:PATH, or a plugin.")
@click.option("--profile", type=click.Choice(PROFILES), help="Which playbooks are written (default: default).")
def compile_command(job: str, *, output: Path, where: str | None, profile: str | None) -> None:
    """Write the playbooks and the inventory of a job into a folder. Nothing is run.

    The folder may be written again and again; a folder that benchhub has not written is left alone.
    """
    loaded = load_named(job)
    print_warnings(loaded.warnings)
    made = make_plan(loaded.job)
    job_dir = Path(loaded.job.source.name).absolute().parent
    settings = settings_for(None if job == "-" else Path(job))
    hosts = _inventory(made, where or settings.on or DEFAULT_WHERE, job_dir)
    own(output)
    write_project(
        made,
        output,
        profile=profile or settings.profile or PROFILES[0],
        collections=resources.collections(),
        job_dir=job_dir,
    )
    (output / "inventory").mkdir(exist_ok=True)
    (output / "inventory" / "hosts.yml").write_bytes(hosts)
    (output / "env").mkdir(exist_ok=True)
    (output / "plan.json").write_text(json.dumps(plan_to_data(made), indent=1, ensure_ascii=False), encoding="utf-8")
    click.echo(f"{output}: {sum(1 for _ in made.stages())} stages on {len(made.slots)} slots, plan {made.hash[:12]}")
    click.echo(f"Run it: cd {output / 'project'} && ansible-playbook -i ../inventory/hosts.yml site.yml")


def _inventory(made: Plan, where: str, job_dir: Path) -> bytes:
    """The inventory for the nodes of WHERE; nodes that must be given back are not taken for a mere compile."""
    scheduler = usable_scheduler(where)
    request = Request.of(made)
    scheduler.check(request)
    run_id = f"compiled-{slug(made.job)}"
    allocation = scheduler.acquire(request, run_id=run_id, progress=lambda _: None, cancelled=lambda: False)
    if allocation.owned:
        scheduler.release(allocation)
        raise SchedulerError(
            f"--on {where}: its nodes are leased for one run, so a compiled folder cannot name them",
            hint="compile with --on local or --on inventory:PATH, or use benchhub run",
        )
    return inventory(made, allocation, run_id=run_id, job_dir=str(job_dir))
