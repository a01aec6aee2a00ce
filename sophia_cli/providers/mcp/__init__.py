"""The Model Context Protocol server: tools over a desk that is injected. Knows no environment, state or provider."""
