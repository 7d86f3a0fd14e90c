"""Multiruns: the summary that Hydra has written after the last job, and everything that it shows."""

from rexnet_ai_real.sweep.callback import SweepSummary

__all__ = ["SweepSummary"]
