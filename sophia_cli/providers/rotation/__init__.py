"""Rotation adapters: where new secret values come from, and where copies of them go. They log and show no value."""
