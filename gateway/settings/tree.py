"""The root of the configuration tree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PrivateAttr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from gateway.services.registry import DEFAULTS, NAMES
from gateway.settings.base import ServiceSection
from gateway.settings.iot import IotSettings
from gateway.settings.keys import OPERATIONS, ApiKey
from gateway.settings.lipsync import LipsyncSettings
from gateway.settings.server import SecuritySettings, ServerSettings
from gateway.settings.socket_file import socket_address
from gateway.settings.telemetry import TelemetrySettings
from gateway.settings.text import TextSettings
from gateway.settings.triton import (
    EmbeddedSettings,
    HealthSettings,
    PathSettings,
    TritonSettings,
)
from gateway.settings.tryon import TryonSettings
from gateway.settings.vision import VisionSettings
from gateway.settings.vlm import VlmSettings

OLD_TEXT_KEY = "text-api-key"
OLD_TRYON_KEY = "tryon-internal-auth-token"
"""What the keys of the old servers' own settings are called in logs."""
if TYPE_CHECKING:
    ServiceName = str
else:
    ServiceName = Literal[NAMES]


class Settings(BaseSettings):
    """Everything Pentad can be told. Environment: `PENTAD_<SECTION>__<KEY>`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="PENTAD_",
        env_nested_delimiter="__",
    )

    services: list[ServiceName] = Field(list(DEFAULTS), min_length=1)
    """Services that are switched on."""
    server: ServerSettings = ServerSettings()
    security: SecuritySettings = SecuritySettings()
    triton: TritonSettings = TritonSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    health: HealthSettings = HealthSettings()
    paths: PathSettings = PathSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    text: TextSettings = Field(default_factory=TextSettings)
    vision: VisionSettings = VisionSettings()
    iot: IotSettings = IotSettings()
    lipsync: LipsyncSettings = LipsyncSettings()
    tryon: TryonSettings = TryonSettings()
    vlm: VlmSettings = VlmSettings()
    _file: Path | None = PrivateAttr(None)
    _moved: list[str] = PrivateAttr(default_factory=list)

    @property
    def file(self) -> Path | None:
        """The YAML file it was read from, whether or not that exists; None when made in code."""
        return self._file

    @property
    def moved(self) -> tuple[str, ...]:
        """In words: which ports of the embedded Triton gave way to public ones."""
        return tuple(self._moved)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over what the loader passes (legacy environment over the file)."""
        return env_settings, init_settings

    def section(self, service: str) -> ServiceSection:
        """Return a service's section."""
        section: ServiceSection = getattr(self, service)
        return section

    @property
    def has_named_keys(self) -> bool:
        """Whether keys are configured in `security`: then every service needs one."""
        return bool(self.security.keys) or self.security.keys_file is not None

    @property
    def old_keys(self) -> list[ApiKey]:
        """The keys of the old servers' own settings, each for its service alone."""
        token = self.tryon.security.internal_auth_token
        keys = [(OLD_TEXT_KEY, "text", self.text.api_key), (OLD_TRYON_KEY, "tryon", token)]
        # Where nothing else opens the operations routes, each of them does.
        more = [] if self.has_named_keys else [OPERATIONS]
        return [
            ApiKey.model_validate({"name": name, "key": key, "services": [service, *more]})
            for name, service, key in keys
            if key and key.get_secret_value()
        ]

    def needs_key(self, service: str) -> bool:
        """Whether callers of a service, by its name in keys, must present one.

        With keys in `security` all services do. The old servers' own settings close the service
        that had them; the others had none and stay as they were.
        """
        if service in self.security.open_services:
            return False
        if self.has_named_keys:
            return True
        old = self.old_keys
        if service == OPERATIONS:
            return bool(old) and not self.server.loopback_only
        return any(key.opens(service) for key in old)

    @property
    def has_enrollment_routes(self) -> bool:
        """Whether the enrollment modal's routes are served: one process keeps their vectors."""
        return self.iot.enrollment_routes and self.server.workers == 1

    @property
    def infer_needs_key(self) -> bool:
        """Whether try-on's `/infer` is closed where the service is."""
        chosen = self.tryon.infer_requires_auth
        return self.has_named_keys if chosen is None else chosen

    @model_validator(mode="after")
    def _way_to_the_embedded_triton(self) -> Settings:
        """Fill in ``triton.url`` where Pentad itself decides at which address Triton answers."""
        if self.triton.url is None and self.triton.start:
            if (port := self.embedded.grpc_port) is None:
                url = socket_address(self.paths.state)
            else:
                everywhere = self.embedded.host in ("0.0.0.0", "::")  # noqa: S104
                url = f"{'127.0.0.1' if everywhere else self.embedded.host}:{port}"
            filled = self.triton.model_copy(update={"url": url})
            object.__setattr__(self, "triton", filled)  # the tree is frozen for its users
        return self

    @model_validator(mode="after")
    def _one_process_for_tenants(self) -> Settings:
        if "lipsync" in self.services and self.server.workers > 1:
            raise ValueError(
                "server.workers must be 1 with the service lipsync: one process decides which "
                "tenants are resident (a second gateway without it may serve the other services)"
            )
        if self.lipsync.separate_control_key and not self.has_named_keys:
            raise ValueError("lipsync.separate_control_key needs security.keys")
        return self

    @model_validator(mode="after")
    def _one_triton_for_tenants(self) -> Settings:
        if "lipsync" in self.services and self.triton.several:
            raise ValueError(
                "triton.url must name one Triton with lipsync, whose tenants are resident in it "
                "(give lip-sync a gateway of its own beside each Triton: docs/operations/deploy.md)"
            )
        return self

    @model_validator(mode="after")
    def _one_process_per_node(self) -> Settings:
        if "tryon" in self.services and self.server.workers > 1:
            raise ValueError(
                "server.workers must be 1 with the service tryon: one process feeds a node's model "
                "(further gateways may share its queue through tryon.jobs.database_url)"
            )
        return self

    @model_validator(mode="after")
    def _no_open_door(self) -> Settings:
        if self.server.loopback_only or self.security.allow_unauthenticated:
            return self
        beyond = f"server.host is {self.server.host} but"
        if not self.has_named_keys and not self.old_keys:
            raise ValueError(
                f"{beyond} no key is configured: set security.keys, "
                "or security.allow_unauthenticated: true if another layer authenticates"
            )
        open_to_all = [name for name in self.services if not self.needs_key(name)]
        unasked = [name for name in open_to_all if name not in self.security.open_services]
        if unasked:
            raise ValueError(
                f"{beyond} no key is configured for {', '.join(unasked)}: set security.keys, "
                "or list what everybody may call in security.open_services"
            )
        return self
