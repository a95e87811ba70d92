"""Plan (+ Allocation) → playbooks and inventory; pure but for writing the folder."""
