"""Doors: one module per framework or library that llmobs knows how to watch."""
