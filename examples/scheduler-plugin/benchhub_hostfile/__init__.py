"""The scheduler `hostfile`, a plugin of benchhub-ansible."""
