"""WatchLLM's wire, from the server's side: what it accepts, how it answers, what becomes of events."""
