"""The pure heart: frozen values and functions over them. No I/O, clock, environment or randomness."""
