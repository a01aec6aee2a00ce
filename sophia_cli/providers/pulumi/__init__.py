"""Pulumi stacks as targets: the CLI driven as a child process, its events read as they are. Imports no SDK when loaded."""
