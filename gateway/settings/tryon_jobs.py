"""How try-on jobs are kept and how their results are delivered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from gateway.settings.base import Section


def _checked(url: str) -> str:
    if url and not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("must not hold a user or password")
    return url


Url = Annotated[str, AfterValidator(_checked)]
"""Of a server, without a user or password; or an empty text."""


class JobSettings(Section):
    """Accepted jobs: where they are kept, how long, how many may wait."""

    database_url: SecretStr | None = None
    """SQLAlchemy URL, e.g. `postgresql+psycopg://user:password@host/pentad` to share the queue
    between gateways; none: SQLite in `folder`."""
    folder: Path | None = None
    """Folder of the SQLite file, the inputs and the results; none: `tryon` in `paths.state`."""
    storage: Literal["auto", "folder", "database"] = "auto"
    """Where inputs and results are. `auto`: in the folder beside SQLite, else in the database, as
    every gateway must reach them (`folder` then needs a folder that all of them share)."""
    queue_size: int = Field(0, ge=0)
    """Jobs that may wait on this node beside the one in work; the next one is answered 429."""
    deadline_seconds: float = Field(600, gt=0)
    """A job whose result is not there so long after its acceptance has failed (`timeout`)."""
    attempts: int = Field(3, ge=1)
    """How often a job is started when the model's process or the gateway dies under it."""
    result_ttl_seconds: float = Field(24 * 3600, gt=0)
    """Inputs and result are deleted so long after a job has ended (410 from then on), but not
    while a callback is still being tried."""
    record_ttl_seconds: float = Field(30 * 24 * 3600, gt=0)
    """The record of a job is deleted so long after its end; its id is free again then."""
    lease_seconds: float = Field(15, ge=1)
    """A job whose gateway has not been heard of for so long is taken over by another one."""
    disk_reserve_bytes: int = Field(256 * 2**20, ge=0)
    """Room on the disk of `folder` that no new job may take (503 beyond): for the database, for
    uploads under way, for what else writes there. A tenth of a small disk is enough."""
    result_reserve_bytes: int = Field(32 * 2**20, ge=0)
    """Room that is kept there beside it for the result of every accepted job until it is written;
    not with a database server, where results are."""
    poll_seconds: float = Field(1, gt=0)
    """Pause between looks for jobs that other gateways accepted; own ones start at once."""


class CallbackSettings(Section):
    """Delivery of results and notices."""

    max_age_seconds: float = Field(24 * 3600, gt=0)
    """A callback that has failed for so long is dead-lettered; it can be redelivered."""
    max_delay_seconds: float = Field(15 * 60, gt=0)
    """Longest pause between two attempts, unless the receiver asks for a longer one (`Retry-After`,
    of which an hour is granted at the most)."""
    in_flight: int = Field(8, ge=1)
    """Callbacks sent at once to each receiver."""
    private_addresses: bool = True
    """Whether a receiver may have a private or loopback address, as receivers on the intranet
    have (`100.64.0.0/10` counts as private). Metadata services of clouds, link-local, multicast and
    unspecified addresses are refused always."""
    ca_file: Path | None = None
    """PEM file of the authorities that sign the receivers' certificates; none: the usual ones."""


class Receiver(Section):
    """What both receivers have in common."""

    internal_auth_token: SecretStr = SecretStr("")
    """Sent as `X-Internal-Auth`."""
    webhook_secrets: list[SecretStr] = []
    """Secrets (`whsec_` and base64) of the signature in `webhook-signature`, newest first; several
    while one replaces the other. None: the one in `tryon/webhook.secret` of `paths.state`, made at
    the first start."""


class AssetServiceSettings(Receiver):
    """Who receives the results."""

    callback_url: Url = ""
    """Full URL, e.g. `http://assets:9009/v1/vton/result`; empty: results are not sent."""
    timeout: float = Field(10, gt=0)
    """Seconds for one attempt."""
    retries: int = Field(3, ge=1)
    """Attempts after which the load balancer is told; the result itself is tried on, up to
    `callbacks.max_age_seconds`."""
    retry_backoff: list[float] = Field([1, 2, 4], min_length=1)
    """Upper bounds in seconds of the pauses after the first attempts (a random part of each is
    waited); beyond the list the last one is doubled each time."""
    format: Literal["multipart", "json"] = "multipart"
    """How a result is sent. `multipart`: the documented form with the picture as a file. `json`: as
    the Standard Webhooks specification has it (`type`, `timestamp` and, in `data`, the same fields
    and the picture in base64), so that its libraries can check the signature."""
    multipart_errors: bool = True
    """Whether a failure is sent as multipart/form-data, like a result; false: urlencoded, as the
    old server did. Of the format `multipart`."""


class LoadBalancerSettings(Receiver):
    """Who learns that a job is done."""

    url: Url = ""
    """Base URL; `/job_complete` is appended. Empty: nobody is told."""
    timeout: float = Field(5, gt=0)
    """Seconds for one attempt."""
