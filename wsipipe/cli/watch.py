"""The program runs in a child of the process that was started, which stays small and tells what the child died of.

A reader written in C can crash, a library can end the process when it gets no memory, and the system takes the largest
process when there is none left. None of them leaves the process a word to say, and all would end the other slides too.
"""

import os
import signal
import sys

import click

from wsipipe.cli.interrupt import INTERRUPTED, flush
from wsipipe.errors import UsageError
from wsipipe.turns import Turns

_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGKILL})
LEAST_ADDRESS_SPACE = 2 << 30
"""Bytes."""

_PASSED_ON = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})
_PR_SET_PDEATHSIG = 1


def watch(turns: Turns) -> None:
    """Return in a child process only; its parent waits for it, and exits as it did.

    A child that crashes during the turn of a slide is followed by another one, which leaves that slide out: a slide
    costs itself only. Forking takes about a millisecond, as nothing heavy is loaded yet. Systems other than Linux
    cannot end a child whose parent was killed; there the program runs in the process that was started.
    """
    if sys.platform != "linux" or sys.getprofile() or sys.gettrace():  # a debugger looks at one process
        return
    while True:
        code = _child_ended()
        if code is None:
            return
        said = turns.ended()
        if said is not None or code == INTERRUPTED:
            sys.exit(code if said is None else said)
        if code < 0 and -code not in _CRASHES:
            sys.exit(128 - code)  # as a shell says it
        if not turns.blame():
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"  # libraries end it by themselves
            click.echo(
                f"error: the process died ({how}): a library crashed, or memory ran out: run the same command "
                "again with fewer --workers: what is finished is kept",
                err=True,
            )
            sys.exit(1)


def check_address_space() -> None:
    """Refuse to begin where libraries get so little that some of them neither work nor fail, but wait for ever.

    Raises
    ------
    UsageError
        Naming the limit of this process.
    """
    import resource  # noqa: PLC0415 - systems that are not watched may have none

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESS_SPACE:
        raise UsageError(
            f"may use {limit / 1e9:.1f} GB of address space only",
            f"allow {LEAST_ADDRESS_SPACE / 1e9:.0f} GB at least (`ulimit -v`), or ask the scheduler for more memory",
            "this process",
        )


def _child_ended() -> int | None:
    """None in a new child; in its parent the child's exit code, or minus the signal that it died of."""
    signals = _PASSED_ON | {signal.SIGCHLD}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who ignores it, as some starters do, never hears of a child's end
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    parent = os.getpid()
    flush()
    child = os.fork()
    if not child:
        _die_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return None
    while True:
        came = signal.sigwaitinfo(signals)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return os.waitstatus_to_exitcode(status)
        # what a terminal sends reaches parent and child alike; what a process sends comes to the one it knows
        if came.si_signo in _PASSED_ON and came.si_code <= 0:
            os.kill(child, came.si_signo)


def _die_with(parent: int) -> None:
    """Have the system kill this process when its parent is killed: nobody would know of it any more."""
    import ctypes  # noqa: PLC0415 - the parent has no use for it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # killed already
        os._exit(128 + signal.SIGKILL)
