"""What the LangChain door reads, and what it keeps of runs that are open."""
