"""The networks: generator, critic and class head (the only torch)."""

import os

# Before torch is loaded: threads that wait for one another sleep instead of spinning. On a machine that does other
# work too, spinning made training up to twenty times slower; alone it gains nothing that was measurable.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
