"""A worker that handles tickets with LangChain, observed."""
