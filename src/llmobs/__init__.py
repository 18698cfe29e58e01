"""LLM observability for Python web applications."""
