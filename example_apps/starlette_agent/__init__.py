"""An agent behind a Starlette application, with the anthropic package, observed."""
