"""sophia: an infrastructure copilot for Namecheap domains, Pulumi stacks and Pulumi ESC environments."""

__version__ = "0.1.0"

# The specialists by the module each lives in; nothing is imported before one is asked for (PEP 562).
_AGENTS = {
    "SophiaInfrastructureOrchestrator": "orchestrator",
    "SophiaInfrastructureAgent": "orchestrator",
    "SophiaDNSIntelligenceAgent": "dns",
    "SophiaSSLOptimizationAgent": "ssl",
    "SophiaPerformanceAgent": "performance",
    "SophiaSecurityAgent": "security",
    "SophiaCostOptimizationAgent": "cost",
}

__all__ = [
    "SophiaCostOptimizationAgent",
    "SophiaDNSIntelligenceAgent",
    "SophiaInfrastructureAgent",
    "SophiaInfrastructureOrchestrator",
    "SophiaPerformanceAgent",
    "SophiaSSLOptimizationAgent",
    "SophiaSecurityAgent",
    "__version__",
]


def __getattr__(name: str) -> type:
    """One of the specialists; `SophiaInfrastructureAgent` is another name of the orchestrator."""
    if name not in _AGENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"sophia_cli.agents.{_AGENTS[name]}")
    found: type = getattr(module, "SophiaInfrastructureOrchestrator" if name == "SophiaInfrastructureAgent" else name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_AGENTS})
