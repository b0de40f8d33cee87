"""The networks: generator, critic and class head (the only torch)."""
