"""Small applications that show llmobs at work, and the local model server they talk to."""
