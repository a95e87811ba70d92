"""The scheduler ``docker``: nodes that are containers of this machine, each a host of its own for one run."""
