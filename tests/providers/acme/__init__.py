"""Tests of the ACME client: against Pebble, against a server that misbehaves, and beside another implementation."""
