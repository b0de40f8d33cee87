import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from wsipipe.errors import UsageError, WorkerDiedError
from wsipipe.parallel import Fleet, PerThread, Pool, clients, cpu_count, cpus, pool_in_task


def slow_square(shared: int, item: int) -> int:
    time.sleep(0.02 if item % 3 == 0 else 0.0)
    return shared + item * item


def fail_on_two(shared: int, item: int) -> int:
    if item == 2:
        raise OSError("bad tile")
    return item


def test_results_come_in_order_and_in_a_bounded_window():
    taken = []

    def items():
        for i in range(40):
            taken.append(i)
            yield i

    with Pool(workers=2) as pool:
        for done, (item, result) in enumerate(pool.ordered_map(slow_square, 7, items())):
            assert item == done
            assert result == 7 + item * item
            assert len(taken) - done <= 2 + 2 * 2
    assert len(taken) == 40


def test_an_error_of_one_item_reaches_the_caller():
    with Pool(workers=1) as pool, pytest.raises(OSError, match="bad tile"):
        list(pool.ordered_map(fail_on_two, 0, range(5)))


def test_unreachable_scheduler_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(clients, "CONNECT_S", 1)
    with Pool(scheduler="tcp://127.0.0.1:1") as pool, pytest.raises(UsageError, match="dask scheduler"):
        list(pool.ordered_map(slow_square, 0, [1]))


def test_nothing_listens_beyond_this_machine():
    with Pool(workers=1) as pool:
        list(pool.ordered_map(slow_square, 0, [1]))
        listening = {c.laddr.ip for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening <= {"127.0.0.1"}


def test_threads_of_this_process_need_no_dask():
    code = (
        "import sys; from wsipipe.parallel import Pool\n"
        "with Pool(2) as pool: assert [r for _, r in pool.ordered_map(pow, 2, range(9))] == [2**i for i in range(9)]\n"
        "assert not {'dask', 'distributed'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_stopped_early_drops_the_rest():
    begun = []

    def note(shared: int, item: int) -> int:
        begun.append(item)
        time.sleep(0.02)
        return item

    with Pool(workers=1) as pool:
        results = pool.ordered_map(note, 0, range(100))
        assert next(results) == (0, 0)
        results.close()
    assert len(begun) <= 4


def test_cpu_count_honours_affinity_slurm_and_cgroups(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(cpus.os, "sched_getaffinity", lambda pid: set(range(12)), raising=False)
    monkeypatch.setattr(cpus, "cgroup_quota", lambda root: None)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    assert cpu_count() == 12
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "5")
    assert cpu_count() == 5
    monkeypatch.setattr(cpus, "cgroup_quota", lambda root: 3)
    assert cpu_count() == 3


@pytest.mark.parametrize(("text", "want"), [("150000 100000", 2), ("max 100000", None), ("rubbish", None)])
def test_cgroup_v2_quota(tmp_path: Path, text: str, want: int | None):
    (tmp_path / "cpu.max").write_text(text)
    assert cpus.cgroup_quota(tmp_path) == want


def test_cgroup_v1_quota(tmp_path: Path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("400000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpus.cgroup_quota(tmp_path) == 4
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cpus.cgroup_quota(tmp_path) is None


class Handle:
    """Counts how many of it are open."""

    count = 0

    def __init__(self, key: object) -> None:
        self.key, self.closed = key, False
        Handle.count += 1

    def close(self) -> None:
        assert not self.closed
        self.closed = True
        Handle.count -= 1


HANDLES = PerThread(Handle)


def use_handle(shared: int, item: int) -> bool:
    with HANDLES.use(item // 4) as handle:
        time.sleep(0.01)
        if item == 9:
            raise OSError("unreadable")
        return bool(handle.key == item // 4 and not handle.closed)


def test_a_thread_keeps_one_handle_and_the_pool_closes_what_is_left():
    with Pool(workers=2) as pool:
        for _, good in pool.ordered_map(use_handle, 0, range(9)):
            assert good
            assert Handle.count <= 2
    assert Handle.count == 0


def test_a_handle_is_closed_after_an_error():
    with Pool(workers=1) as pool, pytest.raises(OSError, match="unreadable"):
        list(pool.ordered_map(use_handle, 0, [8, 9]))
    assert Handle.count == 0


def die_of_four(shared: int, item: int, share: int) -> tuple[int, int]:
    time.sleep(0.05)
    if item == shared:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * 10, share


def spread_squares(shared: int, item: int, share: int) -> list[int]:
    with pool_in_task(share) as pool:
        return [result for _, result in pool.ordered_map(slow_square, shared, range(item))]


def test_an_item_that_kills_its_process_costs_itself_only():
    ticks: list[int] = []
    with Fleet(2) as fleet:
        found = dict(fleet.each(die_of_four, 4, range(9), ticks.append))
        assert [p for p in psutil.Process().children(recursive=True) if p.is_running()]
    assert isinstance(found.pop(4), WorkerDiedError)
    assert {item: result[0] for item, result in found.items()} == {i: i * 10 for i in range(9) if i != 4}
    assert all(running <= 2 for running in ticks)
    assert not [p for p in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]


def test_tiles_of_the_last_items_spread_over_idle_workers():
    want = [5 + i * i for i in range(20)]
    with Fleet(2) as fleet:
        assert dict(fleet.each(spread_squares, 5, [20], lambda _: None)) == {20: want}
        assert dict(fleet.each(spread_squares, 5, [20, 1, 0], lambda _: None)) == {20: want, 1: [5], 0: []}
        (seen,) = fleet.everywhere(int, "7").values()
        assert seen == 7


def test_an_error_in_an_item_stops_everything():
    with Fleet(1) as fleet, pytest.raises(TypeError):
        list(fleet.each(spread_squares, 5, ["x"], lambda _: None))


def test_worker_processes_listen_on_this_machine_only():
    with Fleet(1) as fleet:
        assert dict(fleet.each(spread_squares, 0, [1], lambda _: None)) == {1: [0]}
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        sockets = [c for process in family for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert {c.laddr.ip for c in sockets} == {"127.0.0.1"}


def settled(shared: None, item: int, share: int) -> tuple[str, bool]:
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return Path("/proc/self/oom_score_adj").read_text().strip(), ignored


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="Linux")
def test_workers_leave_ctrl_c_to_the_user_and_go_first_when_memory_runs_out():
    with Fleet(1) as fleet:
        assert list(fleet.each(settled, None, [0], lambda _: None)) == [(0, ("500", True))]


def fail_with_a_name(shared: str, item: int, share: int) -> None:
    raise ValueError(f"could not read '{shared}'")


def test_an_error_on_a_worker_is_raised_here_and_printed_nowhere(capfd):
    """Dask prints the arguments of a task that failed, and what a library said of the slide."""
    with Fleet(1) as fleet, pytest.raises(ValueError, match="could not read") as caught:
        list(fleet.each(fail_with_a_name, "/clinic/Erika.svs", [1], lambda _: None))
    assert "fail_with_a_name" in "".join(caught.value.__notes__)
    assert "Erika" not in "".join(capfd.readouterr())
