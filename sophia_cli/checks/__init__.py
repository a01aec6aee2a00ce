"""Checks: pure functions from facts to findings, one topic a file, one registry."""
