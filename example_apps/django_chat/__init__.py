"""A chat site on Django, with Celery beside it, observed by llmobs."""
