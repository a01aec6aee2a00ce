"""TLS inspection: handshakes with endpoints, and what they show as facts. Judges nothing."""
