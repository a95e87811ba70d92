"""The command line: one file per verb; the only layer that prints."""
