"""Questions put to a detector and its images: robustness, shortcuts, label errors, explanations."""
