"""The virtual try-on service; keys of the old server keep their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.settings.base import Section, ServiceSection
from gateway.settings.keys import OptionalClientKey
from gateway.settings.old_files import merged, tryon_values
from gateway.settings.tryon_jobs import (
    AssetServiceSettings,
    CallbackSettings,
    JobSettings,
    LoadBalancerSettings,
    Url,
)

Mode = Literal["fp8", "lora", "base"]
Resolution = Literal["480p", "720p", "1080p"]


class TryonServerSettings(Section):
    """The node and its listener."""

    node_id: str = Field("gpu-node-1", min_length=1, max_length=256)
    """Name of this node in answers and callbacks."""
    port: int | None = Field(8080, ge=1, le=65535)
    """The old server's port; null: not served."""
    host: str = ""
    """Of the old server, without effect: the address is that of the main section `server`."""
    workers: int = Field(1, ge=1)
    """Of the old server, without effect."""


class TryonSecuritySettings(Section):
    """Who may call."""

    internal_auth_token: OptionalClientKey = SecretStr("")
    """Key of this service, at least 8 characters, beside those of the main section `security`;
    empty: none. Environment `INCOMING_AUTH_TOKEN`."""
    require_auth: bool = True
    """Whether a key is needed where any is configured. false: everybody who reaches the port may
    submit jobs, as with the old server, whose example had it; what is below `/jobs` (lists,
    pictures of people, cancellation) still needs a key then. Without any key all of it is open."""


class TryonRemoteSettings(Section):
    """The server of the engine `remote`, with OpenAI's images API.

    `POST /v1/images/edits` as vLLM-Omni and SGLang serve it. No request can name another server.
    """

    url: Url = ""
    """Address below which that API is, such as `http://images:8000/v1`; redirects are not
    followed."""
    model: str = Field("", max_length=256)
    """Sent as `model`; empty: not sent, and the server takes its own."""
    key_file: Path | None = None
    """File that holds the server's key alone; it is sent as `Authorization: Bearer`, and read again
    for each request."""
    ca_file: Path | None = None
    """PEM file of the authorities that sign the server's certificate; none: the usual ones."""
    attempts: int = Field(3, ge=1)
    """How often a picture is asked for when the server breaks off; one that cannot be reached or is
    busy is waited for until the job's deadline."""


class TryonModelSettings(Section):
    """The engine and its defaults; they reach the model through `make models`."""

    engine: Literal["warp", "diffusers", "lightx2v", "remote"] = "warp"
    """`warp`: geometric, on the CPU, not photorealistic. `diffusers`, `lightx2v`:
    Qwen-Image-Edit. `remote`: the same by a server that runs it already, see `remote`."""
    model_type: str = "qwen"
    """Told by `/version` and `/test`."""
    model_version: str = "1.0.0"
    """Told by `/version` and in callbacks."""
    model_path: Path | None = None
    """Folder of the Qwen-Image-Edit checkpoint, as diffusers stores it."""
    lora_path: Path | None = None
    """File of the lightning LoRA, for the mode `lora`."""
    quantized_path: Path | None = None
    """File of the fp8 transformer with the lightning LoRA merged, for `lightx2v` in mode `fp8`."""
    device: str = "cuda"
    """`cuda`, `cuda:N` or `cpu`, of the diffusion engines; `warp` computes on the CPU."""
    memory_gb: float = Field(0, ge=0)
    """GiB of the card that `diffusers` may take; 0: what is free when it loads, and in mode fp8 the
    transformer stays in bfloat16 only where that takes at most half of the card."""
    placement: Literal["", "resident", "offload", "blocks"] = ""
    """How `diffusers` keeps its parts: all on the card, one part at a time, or one block of the
    networks at a time; empty: the first of them that fits."""
    remote: TryonRemoteSettings = TryonRemoteSettings()
    default_mode: Mode = "fp8"
    """Mode of the diffusion engines. `fp8`: the lightning LoRA, and the transformer may be stored
    in fp8."""
    default_steps: int | None = Field(None, ge=1, le=50)
    """Steps where a request says none; none: 4 for fp8 and lora, 40 for base, and what its server
    takes for `remote`."""
    default_seed: int = Field(42, ge=0, le=2**31 - 1)
    """Seed where a request says none."""
    default_cfg: float | None = Field(None, ge=0.1, le=20)
    """Guidance where a request says none; none: off (1.0) for fp8 and lora, 4.0 for base, and what
    its server takes for `remote`."""
    default_resolution: Resolution = "720p"
    """Shorter side of the result."""
    enable_teacache: bool = False
    """Of the old server: refused at load, as LightX2V has no TeaCache for Qwen-Image."""
    teacache_thresh: float = Field(0.05, gt=0)
    """Of the old server, without effect."""
    vae_image_size: int | None = Field(None, ge=1)
    """Pixels that `diffusers` gives each input for the VAE; none: its own 1024x1024."""
    condition_image_size: int | None = Field(None, ge=1)
    """Pixels that `diffusers` gives each input for the text encoder; none: its own 384x384."""
    restore: bool | None = None
    """Whether original pixels are put back outside the changed region; none: for the diffusion
    engines."""

    @field_validator("default_resolution", mode="before")
    @classmethod
    def _known_preset(cls, value: Any) -> Any:
        """Return the old server took any word it did not know for 720p."""
        return value if value in ("480p", "720p", "1080p") else "720p"

    @model_validator(mode="after")
    def _reachable(self) -> TryonModelSettings:
        if self.engine == "remote" and not self.remote.url:
            raise ValueError("the engine remote needs remote.url")
        return self


class PreprocessSettings(Section):
    """Before inference."""

    resize_to_resolution: bool = True
    """Whether the pictures are resized to the resolution."""
    maintain_aspect_ratio: bool = True
    """Whether the person keeps its aspect ratio; else the picture is stretched to 3:4."""


class PostprocessSettings(Section):
    """After inference."""

    create_comparison: bool = False
    """Whether a picture with person, garment and result side by side is made too."""
    compress_output: bool = False
    """Whether the result is a JPEG, where a request does not say the format."""


class AdvancedSettings(Section):
    """Around the jobs."""

    warmup_on_startup: bool = True
    """Whether the engine runs once before it is ready."""
    clear_cache_between_jobs: bool = True
    """Whether unused memory is given back after each job."""


class WorkflowSettings(Section):
    """The steps of a job."""

    preprocess: PreprocessSettings = PreprocessSettings()
    postprocess: PostprocessSettings = PostprocessSettings()
    advanced: AdvancedSettings = AdvancedSettings()
    steps_file: Path | None = None
    """Python file that inserts, removes or replaces steps; it runs inside the model."""


class TryonLogSettings(Section):
    """Of the old server, accepted so that its files are valid; `telemetry` decides."""

    level: str = "INFO"
    """Without effect."""
    format: str = ""
    """Without effect."""


class TryonSettings(ServiceSection):
    """The try-on API (`/vton` on the main port)."""

    config: Path | None = None
    """The old server's config.yaml, used as it is: its values hold unless given here. `${VAR}` in
    it stands for a variable of the environment. Old environment variable: `CONFIG_PATH`."""
    server: TryonServerSettings = TryonServerSettings()
    security: TryonSecuritySettings = TryonSecuritySettings()
    infer_requires_auth: bool | None = None
    """Whether `/infer` needs a key as well. None: where `security.keys` or `security.keys_file` is
    set, but not with the old token alone, as the old test front end sends none."""
    asset_service: AssetServiceSettings = AssetServiceSettings()
    load_balancer: LoadBalancerSettings = LoadBalancerSettings()
    model: TryonModelSettings = TryonModelSettings()
    workflow: WorkflowSettings = WorkflowSettings()
    logging: TryonLogSettings = TryonLogSettings()
    jobs: JobSettings = JobSettings()
    callbacks: CallbackSettings = CallbackSettings()
    triton_model: str = "tryon"
    """Triton model that runs the workflow."""
    max_image_bytes: int = Field(10 * 2**20, ge=1024)
    """Largest picture in bytes (413 beyond); the old test front end's limit."""
    max_pixels: int = Field(50_000_000, ge=4096)
    """Most pixels of a picture (413 beyond)."""
    max_body_bytes: int = Field(22 * 2**20, ge=1024)
    """Largest request body in bytes."""
    cors_origins: list[str] = ["*"]
    """Origins whose pages may call this API, as the old server allowed; empty: `server.cors`."""

    @model_validator(mode="before")
    @classmethod
    def _with_old_file(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("config"):
            return merged(tryon_values(Path(values["config"])), values)
        return values

    @property
    def port(self) -> int | None:
        """The port, as the other services name theirs."""
        return self.server.port

    def folder(self, state: Path) -> Path:
        """Folder of jobs and their files; `state` is `paths.state`."""
        return self.jobs.folder or state / "tryon"
