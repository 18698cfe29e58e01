"""What is recorded of people: every field decided, and nothing that gets round redaction."""
