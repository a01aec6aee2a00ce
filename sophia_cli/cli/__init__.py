"""The face: a command parses, runs one flow and prints one rendering."""
