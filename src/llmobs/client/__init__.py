"""The clients: what owns settings, sinks and a pipeline, in either colour."""
