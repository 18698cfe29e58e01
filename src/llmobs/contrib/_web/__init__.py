"""What the doors for web applications decide about a run, without I/O; ASGI and Django drive it."""
