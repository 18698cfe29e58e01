"""A chat API with FastAPI and the openai package, observed by llmobs."""
