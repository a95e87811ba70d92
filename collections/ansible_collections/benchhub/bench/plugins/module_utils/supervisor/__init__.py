"""The node-side supervisor: runs what a job says, detached, and ends all of it (docs/explanation/supervisor.md).

It is sent to a node as a zip and started with ``python3 -I -S``; Python 3.8 and the standard library are enough.
Modules that only some requests need (checks, packing) are imported by the child that needs them: an import costs a
node more than most of what the supervisor does.
"""
