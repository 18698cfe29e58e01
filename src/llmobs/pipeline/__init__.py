"""From capture to sink: sampling, the bounded buffer, preparation, batching, retry, accounting."""
