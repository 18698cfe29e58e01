"""Sensitive text: where it is, and what stands in its place; on one machine, without a model."""
