"""A finished or broken run, read back: journal and collected files into a Result."""
