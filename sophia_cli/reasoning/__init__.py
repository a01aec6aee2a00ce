"""Plain language to typed intents, with no model and no network."""
