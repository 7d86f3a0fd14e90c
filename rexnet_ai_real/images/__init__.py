"""Images from files to arrays that a network takes; no PyTorch but in `transforms`."""
