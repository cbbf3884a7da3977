"""LLM-Sentinel: real-time anomaly detection and observability for LLM applications."""

__version__: str
__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: an application that sends events never does."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("llm-sentinel")
