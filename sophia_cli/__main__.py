"""Starts sophia: `python -m sophia_cli` and the console script `sophia`."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its code."""
    import gc

    # Nearly all that a command makes stays until it ends; looking through it for cycles as often as Python does by
    # itself (each 700 objects) costs a twentieth of a short run.
    gc.set_threshold(50_000, 20, 20)
    from sophia_cli.cli.app import main as run

    raise SystemExit(run())


if __name__ == "__main__":
    main()
