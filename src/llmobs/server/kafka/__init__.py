"""Kafka as a way in: LLM Sentinel's events and llmobs' own, from a topic into the store."""
