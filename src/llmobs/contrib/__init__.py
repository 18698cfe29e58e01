"""Doors into applications: each imports the framework or SDK it is named after, and nothing else."""
