"""What training leaves on disk and how it is read back."""
