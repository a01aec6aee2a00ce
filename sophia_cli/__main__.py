"""Starts sophia: `python -m sophia_cli` and the console script `sophia`."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its code."""
    from sophia_cli.cli.app import main as run

    raise SystemExit(run())


if __name__ == "__main__":
    main()
