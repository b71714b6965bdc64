"""What the gateway may ask of Triton; the API modules depend on this alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from gateway.triton.tensors import Array, PlacedTensor, RegionSpan, Tensor


class TritonPort(Protocol):
    """Inference and control of one Triton server.

    Every method raises a :class:`gateway.errors.GatewayError` on failure.
    """

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor | PlacedTensor],
        outputs: Sequence[str],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        placed: Mapping[str, RegionSpan] | None = None,
        tell_timeout: bool = False,
    ) -> dict[str, Array]:
        """Run one inference and return the named outputs; cancelling the task cancels it.

        ``placed`` are further outputs that Triton writes to shared memory and that are not
        returned. With ``tell_timeout`` the model learns the deadline as the request's timeout.
        """

    def stream(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[dict[str, Array], None]:
        """Run one inference of a decoupled model and yield the outputs of each response.

        Closing the generator, or cancelling the task that waits for it, cancels the inference.
        The model learns the deadline as the request's timeout.
        """

    def abort(self, model: str) -> None:
        """End the running inferences of a model that died; they raise ModelDeadError.

        Triton itself leaves a request unanswered for ever that a dead process had accepted.
        """

    async def register_memory(self, name: str, size: int) -> None:
        """Let Triton map ``size`` bytes of the file ``name`` in /dev/shm, under the same name."""

    async def unregister_memory(self, name: str) -> None:
        """Let Triton unmap a region, which no running inference may use."""

    async def check_memory(self) -> None:
        """Ask whether clients may use shared memory.

        Raises:
            MemoryRefusedError: they may not.
        """

    async def live(self) -> bool:
        """Whether the server answers."""

    async def lost(self) -> None:
        """Return when a connection to a server has ended, however idle it was.

        One caller at a time.
        """

    async def ready_models(self) -> set[str]:
        """Names of the models that are loaded."""

    async def load(self, model: str, config: Mapping[str, Any] | None = None) -> None:
        """Load a model, with another configuration than the repository's if given."""

    async def unload(self, model: str) -> None:
        """Unload a model; unknown or unloaded ones are no error."""

    async def config(self, model: str) -> dict[str, Any]:
        """Return the configuration a loaded model runs with, completed, as JSON-like values."""

    async def statistics(self) -> list[dict[str, Any]]:
        """Triton's counters per model, as JSON-like values."""

    async def server_version(self) -> str:
        """Triton's version, e.g. ``2.51.0``."""
