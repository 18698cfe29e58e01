"""What doors of frameworks share: what has begun and not ended, what is told of it, what hangs in a framework."""
