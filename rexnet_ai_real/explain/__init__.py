"""Heat maps laid over images, for people: what speaks for a class, where, and on which scale. Needs no PyTorch."""
