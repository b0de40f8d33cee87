"""Image stages: pure functions of arrays and a config dataclass."""
