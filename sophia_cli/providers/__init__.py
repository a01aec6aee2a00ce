"""Adapters to the outside; each implements one port and translates foreign errors at its border."""
