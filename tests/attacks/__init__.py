"""Attacks on the readers of untrusted files, a file for each line of the threat model in SECURITY.md."""
