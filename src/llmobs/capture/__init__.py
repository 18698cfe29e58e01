"""Capture: from what an application tells to an event on its way; synchronous, in microseconds."""
