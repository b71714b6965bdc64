"""The root of the configuration tree."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from gateway.ports import gateway_ports
from gateway.settings.iot import IotSettings
from gateway.settings.lipsync import LipsyncSettings
from gateway.settings.server import SecuritySettings, ServerSettings
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

ServiceName = Literal["iot", "lipsync", "text", "tryon", "vision"]


class Settings(BaseSettings):
    """Everything Pentad can be told. Environment: `PENTAD_<SECTION>__<KEY>`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="PENTAD_",
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )

    services: list[ServiceName] = Field(["iot", "lipsync", "text", "tryon", "vision"], min_length=1)
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
    _file: Path | None = PrivateAttr(None)

    @property
    def file(self) -> Path | None:
        """The YAML file it was read from, whether or not that exists; None when made in code."""
        return self._file

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

    @property
    def has_keys(self) -> bool:
        """Whether any client key is configured."""
        old = (self.text.api_key, self.tryon.security.internal_auth_token)
        named = any(key and key.get_secret_value() for key in old)
        return named or bool(self.security.keys) or self.security.keys_file is not None

    @model_validator(mode="after")
    def _one_process_for_tenants(self) -> Settings:
        if "lipsync" in self.services and self.server.workers > 1:
            raise ValueError(
                "server.workers must be 1 with the service lipsync: one process decides which "
                "tenants are resident (a second gateway without it may serve the other services)"
            )
        if self.lipsync.separate_control_key and not self.has_keys:
            raise ValueError("lipsync.separate_control_key needs security.keys")
        return self

    @model_validator(mode="after")
    def _one_triton_for_tenants(self) -> Settings:
        if "lipsync" in self.services and self.triton.several:
            raise ValueError(
                "triton.url must name one Triton with lipsync, whose tenants are resident in it "
                "(give lip-sync a gateway of its own beside each Triton, see docs/deploy.md)"
            )
        return self

    @model_validator(mode="after")
    def _a_port_each(self) -> Settings:
        taken: dict[int, str] = {}
        for port in gateway_ports(self):
            if port.number in taken:
                raise ValueError(f"{taken[port.number]} and {port.setting} are both {port.number}")
            taken[port.number] = port.setting
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
        public = not self.server.loopback_only
        if public and not self.has_keys and not self.security.allow_unauthenticated:
            raise ValueError(
                f"server.host is {self.server.host} but no key is configured: set security.keys, "
                "or security.allow_unauthenticated: true if another layer authenticates"
            )
        return self
