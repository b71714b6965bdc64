"""The life cycle that Triton's Python backend expects of a `TritonPythonModel`."""

from __future__ import annotations

import gc
import json
import locale
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from . import completion
from .batching import Engine, Runner
from .configuration import Config, model_file, refuse_unsupported
from .placement import CPU_ONLY, Placement, Report
from .tensors import LoadError, RequestError
from .validation import check_inputs, check_outputs


class EngineModel:
    """Serves a graph file with the engine that a subclass names."""

    engine: tuple[str, str]
    """Module and class. Imported late: Triton first asks a stub of its own to complete the
    configuration, which mostly needs no engine."""
    default_filename: str
    """Name of the model file when the configuration gives none."""
    completion_placement = CPU_ONLY
    """Where the graph is opened to be described."""
    infer_batching = True
    """Whether auto-completion takes a variable first dimension for a batch."""
    _report: Report | None = None

    @classmethod
    def load(cls, config: Config, path: Path, placement: Placement) -> Engine:
        """Load the graph; LoadError: it cannot be loaded as configured."""
        module, name = cls.engine
        engine: Engine = getattr(import_module(module), name).load(config, path, placement)
        return engine

    @classmethod
    def auto_complete_config(cls, auto_complete_model_config: Any) -> Any:
        """Fill in what the configuration leaves out."""
        config = auto_complete_model_config.as_dict()
        if completion.needed(config):
            path = model_file(config, Path(pb_utils.get_model_dir()), cls.default_filename)
            engine = cls.load(config, path, cls.completion_placement)
            completion.complete(
                config, engine.inputs, engine.outputs, infer_batching=cls.infer_batching
            )
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        """Load and check the model; every error refuses it."""
        # The embedded interpreter starts in the C locale, where text files are ASCII.
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
        if int(np.__version__.split(".")[0]) >= 2:
            raise LoadError(
                f"NumPy {np.__version__} in Triton's environment: the Python backend is built "
                "against NumPy 1 and would corrupt tensors silently; install numpy<2"
            )
        config = json.loads(args["model_config"])
        refuse_unsupported(config)
        path = model_file(config, Path(pb_utils.get_model_dir()), self.default_filename)
        self._engine = self.load(config, path, Placement.of(args))
        check_inputs(config, self._engine.inputs, self._engine.overridable)
        check_outputs(config, self._engine.outputs)
        self._runner = Runner(self._engine, config)
        backend = config.get("backend", "")
        self._report = Report(
            config.get("name", ""), backend, self._engine.computed, self._engine.version
        )
        gc.freeze()  # nothing of the above is garbage before the process ends

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers all requests; an exception here would leak Triton's shared memory."""
        try:
            feeds = [
                {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
                for request in requests
            ]
            wanted = [request.requested_output_names() for request in requests]
            return [_response(answer) for answer in self._runner.run(feeds, wanted)]
        except Exception as error:
            return [_response(error) for _ in requests]

    def finalize(self) -> None:
        """Take back what `initialize` told the gateway."""
        if self._report is not None:
            self._report.remove()


def _response(answer: dict[str, Any] | Exception) -> Any:
    if isinstance(answer, Exception):
        codes = pb_utils.TritonError
        code = codes.INVALID_ARG if isinstance(answer, RequestError) else codes.INTERNAL
        return pb_utils.InferenceResponse(error=codes(str(answer), code))
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, array) for name, array in answer.items()]
    )
