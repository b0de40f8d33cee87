"""Slides as vectors of cell proportions, and their evaluation."""
