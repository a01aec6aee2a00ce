"""Language models at OpenAI-compatible hosts: chat completions over a guarded connection."""
