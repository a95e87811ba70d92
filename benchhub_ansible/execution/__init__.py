"""What happens when a job runs: the run folder, its journal, launches of Ansible, and who may end them."""
