"""One module for each SDK: see the docstring of `tests.contrib.sdks`."""
