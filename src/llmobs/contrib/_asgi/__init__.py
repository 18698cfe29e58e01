"""Parts of the door for ASGI applications: one connection, its route, the client's lifespan."""
