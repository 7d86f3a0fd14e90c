"""One training run: what is trained, what watches it, what it leaves behind."""
