"""Renderings of a Result."""
