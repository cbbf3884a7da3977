"""LLM-Sentinel: real-time anomaly detection and observability for LLM applications."""

from importlib.metadata import version as _version

__version__ = _version("llm-sentinel")
__all__ = ["__version__"]
