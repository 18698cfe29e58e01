"""What the door of the Model Context Protocol reads of a request, and its two sides: clients and servers."""
