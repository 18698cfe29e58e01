"""What the door of the Agent Development Kit is told by its plugin, and reads of contents."""
