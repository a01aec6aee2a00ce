"""The Namecheap provider: an async client of its XML API. Imports nothing at start; the parts stand in their modules."""
