"""The sweeps: real processes killed at every step, every fault at every call, and several writers at once."""
