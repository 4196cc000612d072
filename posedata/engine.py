"""Map a pure function over shards: in this process or in a pool, with the same results."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from posedata.errors import PosedataError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")


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


def map_shards(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    num_workers: int | None = None,
    weights: Sequence[int] | None = None,
    unit: str = "clips",
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
    bar = tqdm(
        total=sum(weights), unit=unit, disable=None if progress else True, dynamic_ncols=True
    )
    with bar:
        for index, result in run(function, tasks, num_workers):
            bar.update(weights[index])
            yield result


def _in_process(
    function: Callable[[Task], Result], tasks: Sequence[Task], _: int
) -> Iterator[tuple[int, Result]]:
    for index, task in enumerate(tasks):
        yield index, function(task)


def _in_pool(
    function: Callable[[Task], Result], tasks: Sequence[Task], num_workers: int
) -> Iterator[tuple[int, Result]]:
    """Keep a few tasks a worker in flight, so that the queue does not grow with the data set."""
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool

    # spawn: a fork would copy the threads' locks of pyarrow and numba in an unknown state
    pool = ProcessPoolExecutor(
        min(num_workers, len(tasks)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
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
            done, _ = wait(running, return_when=FIRST_COMPLETED)
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


def _end_with_parent() -> None:
    """In a worker: leave interrupts to the parent, and end as soon as the parent has ended."""
    import multiprocessing
    import multiprocessing.connection
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            multiprocessing.connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
