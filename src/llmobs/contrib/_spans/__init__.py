"""Spans of OpenTelemetry as events: what each convention calls what, and how spans hang together."""
