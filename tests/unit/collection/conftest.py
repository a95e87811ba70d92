"""Makes the collection importable as Ansible does, without Ansible's import machinery."""

from __future__ import annotations

import sys

from benchhub_ansible.resources import collections

if str(collections()) not in sys.path:
    sys.path.append(str(collections()))
