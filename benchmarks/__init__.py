"""Speed, measured side by side: every figure is a ratio of two things timed in turn in one run. `make bench`."""
