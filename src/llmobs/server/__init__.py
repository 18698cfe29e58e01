"""The collector of ``llmobs serve``: takes events from any SDK, and answers when they are on disk."""
