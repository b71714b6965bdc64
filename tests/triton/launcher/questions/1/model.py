"""Answers at once, while other threads ask without a pause whether the client has gone."""

import threading

import numpy as np
import triton_python_backend_utils as pb_utils
from response_sender import ThreadSafeSender

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
ASKERS = 3
QUESTIONS = 20


class TritonPythonModel:
    """See the module."""

    def execute(self, requests):
        """Starts the threads of each request."""
        for request in requests:
            sender = ThreadSafeSender(request.get_response_sender())
            for _ in range(ASKERS):
                threading.Thread(target=self._ask, args=(sender,), daemon=True).start()
            threading.Thread(target=self._answer, args=(sender,), daemon=True).start()

    def _ask(self, sender):
        for _ in range(QUESTIONS):
            sender.is_cancelled()

    def _answer(self, sender):
        output = pb_utils.Tensor("OUTPUT", np.ones(1, np.int32))
        sender.send(pb_utils.InferenceResponse([output]), flags=FINAL)
