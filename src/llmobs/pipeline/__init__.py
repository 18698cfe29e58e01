"""What happens to an event between capture and its sink: decisions, buffers, and one worker."""
