"""What every worker process of this machine does first; Dask loads it by name."""

import contextlib
import logging
import signal
import threading
from pathlib import Path


def dask_setup(worker: object) -> None:  # noqa: ARG001 - Dask's signature
    """Leave Ctrl-C to the process that was started by the user, and be the first to go when memory runs out.

    The system takes the process with the highest score when memory runs out: a worker, whose slide is tried again,
    and not the one that gathers the results. Ctrl-C reaches every process of a terminal. What breaks in Dask when a
    worker has no memory left is not printed: the pipeline says which slide it cost.
    """
    for name in ("distributed", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # not on Linux, or not allowed
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
