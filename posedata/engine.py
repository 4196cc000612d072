"""Map a pure function over shards: in this process or in a pool, with the same results."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from posedata.errors import PosedataError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

_SECONDS_BETWEEN_REPORTS = 0.5

#: ``(part, count)``: how much of its task a function has done since its last report, and how many
#: items that were. Set where a function runs; see `report`.
_reporter: Callable[[float, int], None] | None = None


def default_num_workers() -> int:
    """Give the number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def check_num_workers(num_workers: int) -> None:
    """Raise UsageError unless the number is positive."""
    if num_workers < 1:
        raise UsageError("--num-workers", found=num_workers, expected="1 or more")


def report(part: float, count: int) -> None:
    """Tell the progress bar of a function at work on a long task.

    Parameters
    ----------
    part : float
        How much of the task's weight is done since the last report.
    count : int
        How many items that were (``counting``).
    """
    if _reporter is not None:
        _reporter(part, count)


def map_shards(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    num_workers: int | None = None,
    weights: Sequence[int] | None = None,
    unit: str = "clips",
    counting: str | None = None,
    progress: bool = True,
) -> Iterator[Result]:
    """Apply a function to each task, and yield the results as they are done.

    Parameters
    ----------
    function : callable
        A pure function that can be pickled: its result depends on the task alone.
    tasks : sequence
        One for each shard.
    num_workers : int, optional
        Processes; 1 runs in this one. By default the cores that this process may use.
    weights : sequence of int, optional
        How much of the progress bar each task is; by default 1.
    unit : str
        What the progress bar counts.
    counting : str, optional
        For tasks that take long and `report`: what they count. The bar then tells tasks (in
        ``unit``), these items, and items a second.
    progress : bool
        Whether to draw a bar on stderr (only if that is a terminal).

    Yields
    ------
    result
        In the order of completion, so the caller sorts by what the result says it is.

    Raises
    ------
    UsageError
        If ``num_workers`` is not positive.
    PosedataError
        If a worker process dies, or what the function raises. Tasks not begun are dropped.
    """
    from tqdm import tqdm

    if num_workers is None:
        num_workers = default_num_workers()
    check_num_workers(num_workers)
    weights = [1] * len(tasks) if weights is None else weights
    run = _in_process if min(num_workers, len(tasks)) <= 1 else _in_pool
    layout = "{percentage:3.0f}%|{bar}| {postfix[0]} [{elapsed}<{remaining}]" if counting else None
    bar = tqdm(
        total=sum(weights), unit=unit, disable=None if progress else True, dynamic_ncols=True,
        bar_format=layout, postfix=[""] if counting else None,
    )  # fmt: skip
    state = _Progress(bar, len(tasks), unit, counting)
    with bar:
        for index, result in run(function, tasks, num_workers, state):
            state.finish(weights[index])
            yield result


class _Progress:
    """The progress bar, and what the tasks at work have told it ahead of their end."""

    def __init__(self, bar: Any, num_tasks: int, unit: str, counting: str | None) -> None:
        self._bar = bar
        self._num_tasks, self._unit, self.counting = num_tasks, unit, counting
        self._done = self._count = 0
        self._finished = self._ahead = 0.0
        self._start = time.monotonic()
        self._lock = threading.Lock()  # a task may report from threads of its own

    def report(self, part: float, count: int) -> None:
        with self._lock:
            self._ahead += part
            self._count += count
            self._draw()

    def finish(self, weight: float) -> None:
        with self._lock:
            self._done += 1
            self._finished += weight
            self._ahead = max(0.0, self._ahead - weight)
            self._draw()

    def _draw(self) -> None:
        if self._bar.disable:
            return
        if self.counting:
            seconds = max(time.monotonic() - self._start, 1e-3)
            self._bar.postfix[0] = (
                f"{self._done:,}/{self._num_tasks:,} {self._unit}, {self._count:,} "
                f"{self.counting}, {self._count / seconds:.1f} {self.counting}/s"
            )
        self._bar.update(min(self._finished + self._ahead, self._bar.total) - self._bar.n)


def _in_process(
    function: Callable[[Task], Result], tasks: Sequence[Task], _: int, progress: _Progress
) -> Iterator[tuple[int, Result]]:
    global _reporter
    _reporter = progress.report
    try:
        for index, task in enumerate(tasks):
            yield index, function(task)
    finally:
        _reporter = None


def _in_pool(
    function: Callable[[Task], Result], tasks: Sequence[Task], num_workers: int,
    progress: _Progress,
) -> Iterator[tuple[int, Result]]:  # fmt: skip
    """Keep a few tasks a worker in flight, so that the queue does not grow with the data set."""
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool

    # spawn: a fork would copy the threads' locks of pyarrow and numba in an unknown state
    context = multiprocessing.get_context("spawn")
    reports = context.SimpleQueue() if progress.counting else None
    pool = ProcessPoolExecutor(
        min(num_workers, len(tasks)),
        mp_context=context,
        initializer=_begin_in_pool,
        initargs=(reports,),
    )
    waiting = iter(enumerate(tasks))
    running: dict[Future[Any], int] = {}
    try:
        while True:
            for index, task in waiting:
                running[pool.submit(function, task)] = index
                if len(running) >= 2 * num_workers:
                    break
            if not running:
                return
            done, _ = wait(running, timeout=_SECONDS_BETWEEN_REPORTS, return_when=FIRST_COMPLETED)
            while reports is not None and not reports.empty():
                progress.report(*reports.get())
            for future in done:
                yield running.pop(future), future.result()
    except BrokenProcessPool as error:
        raise PosedataError(
            "a worker process died",
            remedy="It may have run out of memory: run the same command with --resume and fewer "
            "--num-workers. In a script of your own, call this under if __name__ == '__main__', "
            "since each worker imports the script.",
        ) from error
    except BaseException:  # an interrupt among them: half-written files have no name yet
        for worker in list((pool._processes or {}).values()):
            worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_in_pool(reports: Any) -> None:
    """In a worker: leave interrupts to the parent, and end as soon as the parent has ended."""
    import multiprocessing
    import multiprocessing.connection
    import signal

    global _reporter
    if reports is not None:
        _reporter = lambda part, count: reports.put((part, count))  # noqa: E731
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            multiprocessing.connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
