"""The specialists: which facts they need, which checks they run, what they propose. They hold read ports only."""
