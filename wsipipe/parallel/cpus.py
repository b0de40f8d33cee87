"""How many CPUs this process may use, whatever the machine has."""

import math
import os
from pathlib import Path


def cpu_count() -> int:
    """CPUs this process may use: affinity, cgroup quota and SLURM_CPUS_PER_TASK all count; at least 1."""
    counts = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdigit():
        counts.append(int(slurm))
    quota = cgroup_quota(Path("/sys/fs/cgroup"))
    if quota is not None:
        counts.append(quota)
    return max(1, min(counts))


def cgroup_quota(root: Path) -> int | None:
    """Whole CPUs that the cgroup (v2, else v1) grants, rounded up; None without a limit."""
    try:
        if (root / "cpu.max").is_file():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        limit = float(quota) / float(period)
    except (OSError, ValueError):
        return None  # no such file, or the word "max"
    return math.ceil(limit) if limit > 0 else None
