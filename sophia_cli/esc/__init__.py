"""Pulumi ESC environments: read with positions, evaluated as Pulumi evaluates them, typed for sophia."""
