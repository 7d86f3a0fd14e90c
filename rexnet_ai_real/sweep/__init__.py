"""Multiruns: their search, and the summary written after the last job."""

from rexnet_ai_real.sweep.callback import SweepSummary

__all__ = ["SweepSummary"]
