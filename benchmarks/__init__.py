"""Measured ratios: what this project does against what one would write by hand, in one run on one machine."""
