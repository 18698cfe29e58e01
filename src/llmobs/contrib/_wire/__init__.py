"""What providers and their clients say to each other over HTTP, and how to read it; no I/O here."""
