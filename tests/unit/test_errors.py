"""What is told of a fault."""

import pytest

from wsipipe.errors import lacks_memory
from wsipipe.slides import slide_failure


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("std::bad_alloc"),
        ValueError("OpenCV(4.13.0) error: (-4:Insufficient memory) Failed to allocate 157286400 bytes"),
    ],
)
def test_whatever_a_library_calls_it_memory_ran_out(error: Exception) -> None:
    assert lacks_memory(error)
    assert str(slide_failure(error)).startswith("out of memory: use fewer --workers")


def test_a_gpu_has_a_memory_of_its_own() -> None:
    error = RuntimeError("CUDA out of memory. Tried to allocate 1.07 GiB. GPU 0 has a total capacity of 7.79 GiB")
    said = str(slide_failure(error))
    assert said == "the GPU is out of memory: free it, use fewer --workers, or say --device cpu, then run it again"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("bad tile"), KeyError("x")])
def test_other_faults_are_not_taken_for_it(error: Exception) -> None:
    assert not lacks_memory(error)
