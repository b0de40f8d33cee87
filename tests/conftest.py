"""Settings of the whole suite."""

from hypothesis import settings

# shared, noisy machines: a slow example is no failure, and runs repeat
settings.register_profile("wsipipe", deadline=None, derandomize=True)
settings.load_profile("wsipipe")
