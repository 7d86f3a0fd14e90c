"""Damaged and made-up files against the readers of untrusted input; `python -m tests.fuzz 600` for ten minutes."""
