"""Tiles over threads, slides over processes, both over a cluster: the only Dask."""

from wsipipe.parallel.cpus import cpu_count
from wsipipe.parallel.fleet import Fleet
from wsipipe.parallel.handles import PerThread
from wsipipe.parallel.pool import DIED, Mapper, Pool, pool_in_task

__all__ = ["DIED", "Fleet", "Mapper", "PerThread", "Pool", "cpu_count", "pool_in_task"]
