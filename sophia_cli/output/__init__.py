"""Renderers: functions from values to text. They never print."""
