"""Metrics of binary scores with intervals; NumPy and pandas alone, no PyTorch."""
