"""The hostile model: scripted, adversarial and broken language models, and what must hold against them."""
