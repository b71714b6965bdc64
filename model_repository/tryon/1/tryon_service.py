"""Loads the engine and runs the jobs, one after the other, in a thread of its own."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from tryon_engine import TryonEngine
from tryon_errors import (
    CardMemoryError,
    JobCancelledError,
    PipelineError,
    QueueFullError,
    TryonError,
    WorkflowEditError,
)
from tryon_settings import TryonSettings
from tryon_steps import default_workflow
from tryon_workflow import JobContext, TryonWorkflow, edit_by_file

log = logging.getLogger("tryon")

CPU_ENGINES = ("warp", "remote")
"""What they compute here, they compute on the CPU."""
NICENESS = 10
"""How much the warp engine steps back behind the rest of the machine."""

Answer = Callable[[JobContext], None]
Refuse = Callable[[TryonError], None]


class TryonService:
    """One engine with its workflow and the jobs that wait for it."""

    def __init__(self, settings: TryonSettings, show_load: Callable[[int, int], None]) -> None:
        """Start the thread, which loads the engine first.

        Args:
            settings: The model's.
            show_load: Told the numbers of running and waiting jobs when they change.
        """
        self._settings = settings
        self._show_load = show_load
        self._engine: TryonEngine | None = None
        self._workflow: TryonWorkflow | None = None
        self._error: str | None = None
        self._waiting: queue.Queue[tuple[JobContext, Answer, Refuse] | None] = queue.Queue()
        self._count = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tryon", daemon=True)
        self._thread.start()

    @property
    def loaded(self) -> bool:
        """Whether jobs can be run."""
        return self._workflow is not None

    @property
    def absent(self) -> str | None:
        """Why a loaded engine runs no job now; None: it does, or is not loaded."""
        return self._engine.absent() if self._engine is not None and self.loaded else None

    def submit(self, context: JobContext, answer: Answer, refuse: Refuse) -> None:
        """Queues a job; one of the functions is called with its outcome, in the thread.

        Raises:
            PipelineError: The engine could not be loaded.
            QueueFullError: As many jobs as allowed are waiting.
        """
        if self._error is not None:
            raise PipelineError("the engine is dead")
        with self._lock:
            if self._count > self._settings.queue_size:
                raise QueueFullError
            self._count += 1
            self._show_load(1, self._count - 1)
        self._waiting.put((context, answer, refuse))

    def describe(self) -> dict[str, Any]:
        """Return what is loaded, and what a job gets that asks for nothing."""
        settings, engine = self._settings, self._engine
        mode = settings.default_mode
        return {
            "loaded": self.loaded and self.absent is None,
            "absent": self.absent,
            "loading_error": self._error,
            "engine": settings.engine,
            "model": engine.model if engine else None,
            "photorealistic": engine.photorealistic if engine else None,
            "mode": mode,
            "model_version": settings.model_version,
            "defaults": {
                "seed": settings.default_seed,
                "steps": settings.steps(mode),
                "cfg": settings.cfg(mode),
                "resolution": settings.default_resolution,
                "restore": settings.restore,
                "output_format": "jpeg" if settings.compress_output else "png",
            },
            "workflow": self._workflow.names if self._workflow else None,
            "gpu_memory_used_bytes": engine.memory_bytes() if engine and self.loaded else 0,
            "device": "cpu" if settings.engine in CPU_ENGINES else settings.device,
        }

    def stop(self) -> None:
        """End the running job at its next step, refuse the waiting ones, unload the engine."""
        self._stopping.set()
        self._waiting.put(None)
        self._thread.join()

    def stopping(self) -> bool:
        """Whether the model is being unloaded; jobs end then as if cancelled."""
        return self._stopping.is_set()

    def _run(self) -> None:
        if self._settings.engine == "warp":
            # A job takes every core; who asks for its state must not wait for it. On Linux this
            # is of the calling thread and of those that it starts, which do the work.
            os.nice(NICENESS)
        self._load()
        while (job := self._waiting.get()) is not None:
            self._work(*job)
            del job  # its pictures would stay until the next one
            with self._lock:
                self._count -= 1
                self._show_load(min(1, self._count), max(0, self._count - 1))
        while not self._waiting.empty():
            left = self._waiting.get()
            if left is not None:
                left[2](JobCancelledError())
        self._workflow = None
        if self._engine is not None:
            self._engine.unload()

    def _load(self) -> None:
        try:
            engine = make_engine(self._settings)
            workflow = default_workflow(self._settings, engine)
            if self._settings.steps_file is not None:
                edit_by_file(workflow, self._settings.steps_file)
            self._engine = engine
            engine.load()
            if self._settings.warmup_on_startup:
                engine.warm_up()
            self._workflow = workflow
        except WorkflowEditError as error:
            self._fail("steps_file_invalid", error)
        except (MemoryError, CardMemoryError) as error:
            self._fail("out_of_memory", error)
        except Exception as error:
            self._fail("engine_not_loaded", error)

    def _fail(self, code: str, error: Exception) -> None:
        # The operator's own log: the message may name a file of the configuration, never a job's.
        log.error("tryon: %s: %s: %s", code, type(error).__name__, error)
        self._error = code

    def _work(self, context: JobContext, answer: Answer, refuse: Refuse) -> None:
        if self._workflow is None:
            refuse(PipelineError("the engine is dead"))
            return
        try:
            answer(self._workflow.run(context))
        except TryonError as error:
            refuse(error)
        except BaseException as error:  # whatever happens, the client gets an answer
            log.error("tryon: a job failed with %s", type(error).__name__)
            refuse(PipelineError(f"failed with {type(error).__name__}"))


def make_engine(settings: TryonSettings) -> TryonEngine:
    """Return the engine that the settings name, not loaded; import only what that one needs."""
    module, name = {
        "diffusers": ("diffusion.diffusers_engine", "DiffusersEngine"),
        "lightx2v": ("diffusion.lightx2v_engine", "Lightx2vEngine"),
        "remote": ("remote.engine", "RemoteEngine"),
        "warp": ("warping.engine", "WarpEngine"),
    }[settings.engine]
    engine: TryonEngine = getattr(import_module(module), name)(settings)
    return engine
