"""Files that run wsipipe elsewhere: the Slurm example, the image, the compose cluster."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "pipelines" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_slurm_job_script_starts_one_process_for_each_cpu() -> None:
    pytest.importorskip("dask_jobqueue")
    example = load_example("slurm")
    given = ["--cores", "8", "--memory", "24GiB", "--walltime", "02:30:00", "--queue", "long", "--account", "lab"]
    with example.cluster(example.parse([*given, "--", "cohort.csv", "-o", "out"])) as workers:
        script = workers.job_script()
        address = workers.scheduler_address
    for line in ("-J wsipipe", "-p long", "-A lab", "-n 1", "--cpus-per-task=8", "--mem=24G", "-t 02:30:00"):
        assert f"#SBATCH {line}\n" in script
    assert "export OMP_NUM_THREADS=1\n" in script
    (worker,) = [line for line in script.splitlines() if "dask_worker" in line]
    assert worker.startswith(sys.executable)
    assert address in worker
    assert re.search(r"--nthreads 1 .*--nworkers 8 ", worker)
    assert worker.endswith("--no-dashboard --memory-limit 0")


def test_slurm_example_hands_the_rest_to_batch() -> None:
    pytest.importorskip("dask_jobqueue")
    options = load_example("slurm").parse(["--jobs", "3", "--", "cohort.csv", "-o", "out", "--recipe", "he-40x"])
    assert options.jobs == 3
    assert options.batch == ["cohort.csv", "-o", "out", "--recipe", "he-40x"]


def test_compose_runs_workers_of_one_thread_on_a_closed_network() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"scheduler", "worker", "batch"}
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in services.values())
    assert not any("ports" in service for service in services.values())
    assert compose["networks"]["cluster"]["internal"] is True
    assert services["worker"]["entrypoint"][:3] == ["dask", "worker", "tcp://scheduler:8786"]
    assert services["batch"]["command"][-2:] == ["--scheduler", "tcp://scheduler:8786"]


def test_image_is_staged_unprivileged_and_checked_at_build() -> None:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "ARG BASE=python:3.11-slim-bookworm"
    assert sum(line.startswith("FROM ") for line in lines) == 2
    last = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]
    user = next(line for line in last if line.startswith("USER "))
    assert user not in {"USER root", "USER 0"}
    assert 'ENTRYPOINT ["wsipipe"]' in last
    assert "RUN wsipipe doctor" in "\n".join(last)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("hadolint", ["Dockerfile"]),
        ("check-jsonschema", ["--builtin-schema", "vendor.compose-spec", "compose.yaml"]),
    ],
)
def test_linters_of_container_files_are_content(tool: str, arguments: list[str]) -> None:
    program = Path(sys.executable).with_name(tool)
    if not program.exists():
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_slurm_extra_brings_what_the_example_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert any(need.startswith("dask-jobqueue") for need in project["optional-dependencies"]["slurm"])
