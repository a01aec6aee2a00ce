"""Tests of the model provider."""
