"""A cohort on a Slurm cluster: start workers as jobs, run `wsipipe batch` on them, end the jobs.

    pip install 'wsipipe[slurm]'
    python slurm.py --jobs 8 --cores 16 --memory 48GiB --walltime 08:00:00 --queue cpu -- cohort.csv -o /shared/out

Run it where jobs may be submitted from, in a terminal that stays (tmux, screen) or in a small job of its own.
Everything after `--` is given to `wsipipe batch`. The output and the slides must lie where all nodes see them under
one path.
"""

import argparse
import subprocess
import sys

from dask_jobqueue import SLURMCluster


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of this script, and those of `wsipipe batch` behind `--`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=4, help="Slurm jobs to start.")
    parser.add_argument("--cores", type=int, default=16, help="CPUs of each job; one worker process on each.")
    parser.add_argument(
        "--memory", default="48GiB", help="Of each job; 0.5 GB a worker for slides, 3 GB to be at ease."
    )
    parser.add_argument(
        "--walltime", default="08:00:00", help="After which Slurm ends a job; slides begun go on later."
    )
    parser.add_argument("--queue", help="Partition.")
    parser.add_argument("--account", help="Account that is charged.")
    parser.add_argument("--interface", help="Network interface that all nodes share, such as ib0.")
    parser.add_argument("--show", action="store_true", help="Print the job script and stop.")
    parser.add_argument("batch", nargs="+", help="What follows `wsipipe batch`, after --.")
    return parser.parse_args(arguments)


def cluster(options: argparse.Namespace) -> SLURMCluster:
    """Jobs of worker processes with one thread each, so that a slide that kills its process costs itself only."""
    return SLURMCluster(
        queue=options.queue,
        account=options.account,
        cores=options.cores,
        processes=options.cores,
        memory=options.memory,
        walltime=options.walltime,
        interface=options.interface,
        job_name="wsipipe",
        worker_extra_args=["--no-dashboard", "--memory-limit", "0"],
        job_script_prologue=["export OMP_NUM_THREADS=1"],
        scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        config_name=None,
    )


def main(arguments: list[str]) -> int:
    """Start the jobs, run the batch on them, end them; its exit code."""
    options = parse(arguments)
    with cluster(options) as workers:
        if options.show:
            sys.stdout.write(workers.job_script())
            return 0
        workers.scale(jobs=options.jobs)
        command = [sys.executable, "-m", "wsipipe.cli.main", "batch", *options.batch]
        return subprocess.run([*command, "--scheduler", workers.scheduler_address], check=False).returncode  # noqa: S603 - what the user typed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
