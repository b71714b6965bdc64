"""The one list of the services.

Settings, keys, the assembly of the ports, capacity and exports derive from it what they need;
everything else of a service is in its folder `gateway/services/<name>` and in its section of the
configuration, `gateway/settings/<name>.py`. docs/development/add-a-service.md says how to add one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceEntry:
    """A service, without its code, so that everybody may read it.

    Attributes:
        name: of its folder, its section of the configuration, and in keys, metrics and logs.
        exports: models that `make models` makes for it; a network comes with the model that calls
            it.
        python_models: Triton models in Python that it always has, a process each.
        grpc: whether its own port speaks gRPC, whose library opens the port itself; else HTTP.
        server_section: whether its port is in a section `server`, as in the file of the server it
            replaces.
        default: whether it is switched on where the configuration names no services.
    """

    name: str
    exports: tuple[str, ...] = ()
    python_models: int = 0
    grpc: bool = False
    server_section: bool = False
    default: bool = True

    @property
    def port_setting(self) -> str:
        """Key of the configuration that gives its own port."""
        return f"{self.name}.server.port" if self.server_section else f"{self.name}.port"


SERVICES = {
    entry.name: entry
    for entry in (
        ServiceEntry("text", exports=("text_embedding", "bertscore"), python_models=2),
        ServiceEntry(
            "iot",
            exports=("face_detector", "face_embedder", "expression_classifier"),
            python_models=2,
        ),
        ServiceEntry("vision", exports=("image_classifier",), python_models=1),
        # Its Python models are its devices, whose number the configuration says.
        ServiceEntry(
            "lipsync", exports=("lipsync", "audio_encoder"), grpc=True, server_section=True
        ),
        ServiceEntry("tryon", exports=("tryon",), python_models=1, server_section=True),
        # Its model wants a GPU of its own, and weights of 18 GB.
        ServiceEntry("vlm", python_models=1, default=False),
    )
}
"""By name, in the order in which the gateway assembles them."""
NAMES = tuple(sorted(SERVICES))
DEFAULTS = tuple(name for name in NAMES if SERVICES[name].default)
