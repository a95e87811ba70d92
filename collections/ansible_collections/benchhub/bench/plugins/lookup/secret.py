"""Lookup of a job's secret, for Ansible's own modules and roles as tasks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: secret
short_description: Value of a secret that the job names
version_added: "0.1.0"
author: The benchhub developers
description:
  - Gives the value of a secret from where C(benchhub run) or the variable C(benchhub_secrets) says it is.
  - The value is never written to the run folder.
options:
  _terms:
    description: Names of secrets, as in the job file's C(secrets).
    required: true
"""

EXAMPLES = r"""
- name: Create the database user
  community.postgresql.postgresql_user:
    name: bench
    password: "{{ lookup('benchhub.bench.secret', 'PGPASSWORD') }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The values, in the order of the names.
  type: list
  elements: str
"""

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.benchhub.bench.plugins.plugin_utils.secrets import MissingSecretError, Secrets


class LookupModule(LookupBase):
    """`lookup('benchhub.bench.secret', NAME)`"""

    def run(self, terms, variables=None, **kwargs):
        """The values of the named secrets; an error names what is missing, never a value."""
        self.set_options(var_options=variables, direct=kwargs)
        spec = self._templar.template((variables or {}).get("benchhub_secrets", {}))
        secrets = Secrets(spec)
        try:
            return [secrets.value(str(term)) for term in terms]
        except MissingSecretError as error:
            raise AnsibleError(str(error)) from error
