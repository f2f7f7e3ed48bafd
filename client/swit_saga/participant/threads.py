"""Threads that keep no program from ending, for plain handlers: one that never returns is given up with its process."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class DaemonThreads(Executor):
    """Python waits for those of a ``ThreadPoolExecutor`` when a program ends, for as long as they take."""

    def __init__(self, most: int, name: str) -> None:
        """``most`` of them at once; ``name`` is what theirs begin with."""
        self._most = most
        self._name = name
        self._made = 0
        self._making = threading.Lock()
        self._idle = threading.Semaphore(0)
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See ``Executor``."""
        future: Future[Any] = Future()
        self._work.put((future, lambda: fn(*args, **kwargs)))
        if not self._idle.acquire(blocking=False):
            with self._making:
                if self._made < self._most:
                    self._made += 1
                    name = f"{self._name}_{self._made}"
                    threading.Thread(target=self._run, name=name, daemon=True).start()
        return future

    def _run(self) -> None:
        while True:
            self._do(*self._work.get())
            self._idle.release()

    @staticmethod
    def _do(future: Future[Any], work: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
