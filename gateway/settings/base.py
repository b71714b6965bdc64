"""What every section of the configuration has in common."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the configuration: unknown keys are refused, values are immutable."""

    # No `use_attribute_docstrings`: reading every class's source takes half as long as all else
    # at each start. `reference` reads it when it writes the reference.
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServiceSection(Section):
    """A service's section, and what its models ask of a machine by it."""

    def called_networks(self) -> Iterator[tuple[str, str]]:
        """Yield the ONNX networks of the service with the model that calls each.

        The model's name is empty where the gateway calls the network itself.
        """
        yield from ()

    def forced_devices(self) -> dict[str, str]:
        """Return the networks that the section itself places: `cpu`, `cuda` or `cuda:N` by name."""
        return {}
