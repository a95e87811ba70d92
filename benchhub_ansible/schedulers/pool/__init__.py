"""Machines shared by several users, taken by lease."""
