"""Use cases, one a file: the only place where steps get an order."""
