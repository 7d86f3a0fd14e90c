"""The command `predict`: one row per image, in a file that can be interrupted at any moment and resumed."""
