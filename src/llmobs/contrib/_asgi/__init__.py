"""Parts of the door for ASGI applications: one connection, its route, its origin, the client's life."""
