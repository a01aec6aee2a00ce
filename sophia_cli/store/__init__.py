"""State: atomic files, locks, journal, snapshots, approvals and the audit log."""
