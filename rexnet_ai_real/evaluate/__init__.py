"""How far a detector can be trusted: metrics with intervals, calibration, shortcuts, robustness."""
