"""Live DNS surveyed: a zone's servers, its delegation and the names it points at. Writes nothing."""
