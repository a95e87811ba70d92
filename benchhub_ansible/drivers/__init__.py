"""Task → what the playbook says for it."""
