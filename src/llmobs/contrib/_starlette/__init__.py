"""The viewer's pages as routes of Starlette: of ``llmobs serve``, and of applications they are mounted in."""
