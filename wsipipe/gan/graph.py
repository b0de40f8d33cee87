"""Work that is the same every time: on a GPU it is recorded once and then launched as one, not kernel by kernel."""

import warnings
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

WARM_UP = 3
"""Times that work is done as it is before it is recorded: libraries load and choose kernels at their first use."""

Work = Callable[[], None]
Result = TypeVar("Result")


class NotRecordedError(Exception):
    """A GPU, its driver or PyTorch would not record; what recorded and its random numbers are of no more use."""


class Recorder(Protocol):
    """What keeps the work of a device and does it again."""

    def warm_up(self, work: Work) -> None:
        """Do the work as it is, where it will be recorded."""

    def record(self, work: Work, generators: Sequence[torch.Generator]) -> None:
        """Keep the work, which draws from `generators`, without doing it.

        Raises
        ------
        RuntimeError
            If that is not possible.
        """

    def replay(self) -> None:
        """Do once what is kept; random numbers go on."""


class CudaRecorder:
    """A CUDA graph.

    The work must be kernels only, and the same ones on the same tensors every time: it may not wait for the GPU, copy
    from the host, nor make anything whose size depends on values. Memory that it frees stays with the graph.
    """

    def __init__(self) -> None:
        self._graph, self._stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def warm_up(self, work: Work) -> None:
        """Do the work on the stream it will be recorded on, whose workspaces are then there already."""
        before = torch.cuda.current_stream()
        self._stream.wait_stream(before)
        with torch.cuda.stream(self._stream), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")  # not yet, it says
            work()
        before.wait_stream(self._stream)

    def record(self, work: Work, generators: Sequence[torch.Generator]) -> None:
        """Capture the work; it is not done."""
        for generator in generators:
            self._graph.register_generator_state(generator)
        # the outer context leaves the stream that a failed capture would stay on
        with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(self._graph, stream=self._stream):
            work()

    def replay(self) -> None:
        """Launch the graph on the present stream."""
        self._graph.replay()


def recorder_for(cells: Tensor) -> CudaRecorder | None:
    """What can record a training on `cells`: nothing on a CPU, nor where they stay on the host."""
    return CudaRecorder() if cells.is_cuda else None


def recorded_if_possible(do: Callable[[Recorder | None], Result], recorder: Recorder | None) -> tuple[Result, str]:
    """What `do` gives with a recorder or, if that does not record, from its beginning without; and why it does not."""
    try:
        return do(recorder), ""
    except NotRecordedError as error:
        why = str(error)
    return do(None), why


class Repeated:
    """Does the same work again and again: `WARM_UP` times as it is, then by a recorder, where there is one.

    Every call does the work exactly once.
    """

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder, self._done = recorder, 0

    def __call__(self, work: Work, generators: Sequence[torch.Generator]) -> None:
        """Do the work, which must be that of the first call.

        Raises
        ------
        NotRecordedError
        """
        self._done += 1
        if self._recorder is None:
            work()
        elif self._done <= WARM_UP:
            self._recorder.warm_up(work)
        else:
            if self._done == WARM_UP + 1:
                _record(self._recorder, work, generators)
            self._recorder.replay()


def _record(recorder: Recorder, work: Work, generators: Sequence[torch.Generator]) -> None:
    try:
        recorder.record(work, generators)
    except RuntimeError as error:
        cause = _cause(error)
        if not isinstance(cause, Exception):  # Ctrl-C
            raise cause from None
        raise NotRecordedError(str(cause).partition("\n")[0]) from error


def _cause(error: BaseException) -> BaseException:
    """The first error: ending a capture that failed raises once more."""
    while error.__context__ is not None:
        error = error.__context__
    return error
