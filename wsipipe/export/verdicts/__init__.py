"""Pages about the verdicts on slides."""
