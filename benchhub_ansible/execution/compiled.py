"""What a run folder holds for Ansible: job and plan, the playbooks, the inventory of the nodes there are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchhub_ansible import resources
from benchhub_ansible.execution.folder import RunFolder
from benchhub_ansible.execution.options import RunOptions
from benchhub_ansible.job.load import LoadedJob
from benchhub_ansible.plan.data import plan_to_data
from benchhub_ansible.plan.model import Plan
from benchhub_ansible.playbook.folder import write_project
from benchhub_ansible.playbook.inventory import inventory
from benchhub_ansible.schedulers.base import Allocation


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """Writes one plan into its run folder; OSError or BenchhubError when that cannot be written."""

    folder: RunFolder
    plan: Plan
    options: RunOptions

    def write_job(self, loaded: LoadedJob, job_path: Path) -> None:
        """Job, plan and playbooks: all that is known before there are nodes."""
        self.folder.write(self.folder.job / job_path.name, loaded.job.source.text)
        self.folder.write_json(self.folder.plan, plan_to_data(self.plan))
        self._write_project(job_path.parent)

    def write_inventory(self, allocation: Allocation, job_dir: Path) -> None:
        """Who plays which slot."""
        content = inventory(
            self.plan,
            allocation,
            run_id=self.folder.run_id,
            job_dir=str(job_dir),
            node_dir=self.options.node_dir,
            collect_dest=str(self.folder.collected),
        )
        self.folder.write(self.folder.inventory, content)

    def restore(self, allocation: Allocation, job_dir: Path) -> bool:
        """Writes again what teardown needs, when somebody has removed the run folder meanwhile; whether it had to."""
        if self.folder.project.exists() and self.folder.inventory.exists():
            return False
        self.folder.create(again=True)
        self._write_project(job_dir)
        self.write_inventory(allocation, job_dir)
        return True

    def _write_project(self, job_dir: Path) -> None:
        write_project(
            self.plan,
            self.folder.path,
            profile=self.options.profile,
            collections=resources.collections(),
            job_dir=job_dir,
        )
