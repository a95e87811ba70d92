"""The scheduler ``slurm``: nodes of a Slurm cluster, one allocation for a whole request."""
