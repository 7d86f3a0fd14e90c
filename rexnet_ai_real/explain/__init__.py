"""Heat maps laid over pictures, for people: what speaks for a class, where, and on which scale. Needs no PyTorch."""
