"""Answers what the prompt says: `echo` what it got, `wait` for a cancellation or four at once."""

import json
import threading

import numpy as np
import triton_python_backend_utils as pb_utils

SECONDS = 120


class TritonPythonModel:
    """Answers from threads, as a batching engine does."""

    def initialize(self, args):
        """Nothing is under way."""
        self._cancelled = {}
        self._together = threading.Barrier(4)
        self._history = []

    def execute(self, requests):
        """Starts a thread for each request."""
        for request in requests:
            inputs = {
                name: pb_utils.get_input_tensor_by_name(request, name).as_numpy().copy()
                for name in ("FRAMES", "TIMESTAMPS", "PROMPT", "OPTIONS")
            }
            sender = request.get_response_sender()
            threading.Thread(target=self._answer, args=(inputs, sender), daemon=True).start()

    def _answer(self, inputs, sender):
        prompt, options = inputs["PROMPT"][0].decode(), json.loads(inputs["OPTIONS"][0])
        if "cancel" in options:
            self._history.append("cancelled")
            self._cancelled.setdefault(options["cancel"], threading.Event()).set()
            text = ""
        elif prompt.startswith("wait"):
            self._history.append("waiting")
            self._cancelled.setdefault(options["job"], threading.Event()).wait(SECONDS)
            text = "cancelled"
        elif prompt.startswith("history"):
            text = " ".join(["so far:", *self._history])
        elif prompt.startswith("together"):
            self._together.wait(SECONDS)
            text = "four at once"
        elif prompt.startswith(("fail", "late")):
            words = "engine is dead" if prompt.startswith("fail") else "the deadline has passed"
            error = pb_utils.TritonError(words, pb_utils.TritonError.UNAVAILABLE)
            final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            sender.send(pb_utils.InferenceResponse(error=error), flags=final)
            return
        elif "schema" in options:
            count = options["schema"]["properties"]["emotions"]["minItems"]
            entry = {"emotion": "contempt", "confidence": 0.75, "description": "A sneer."}
            text = json.dumps({"emotions": [{"frame": n, **entry} for n in range(count)]})
        else:
            shape, times = inputs["FRAMES"].shape, inputs["TIMESTAMPS"].tolist()
            text = json.dumps({"shape": shape, "times": times, "options": sorted(options)})
        outputs = {"TEXT": text, "FINISH_REASON": "stop", "USAGE": "{}"}
        outputs["MODEL_INFO"] = json.dumps({"model": "a script"})
        tensors = [
            pb_utils.Tensor(name, np.array([value.encode()], np.object_))
            for name, value in outputs.items()
        ]
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        sender.send(pb_utils.InferenceResponse(tensors), flags=final)
