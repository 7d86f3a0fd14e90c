"""Verdicts as rows of a file that may be interrupted at any moment and gone on with."""
