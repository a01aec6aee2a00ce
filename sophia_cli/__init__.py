"""sophia: an infrastructure copilot for Namecheap domains, Pulumi stacks and Pulumi ESC environments."""

__version__ = "0.1.0"
