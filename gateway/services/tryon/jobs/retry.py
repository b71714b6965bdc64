"""Which callbacks a job has, and when each is due."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from gateway.services.tryon.jobs.models import Delivery, Destination, event_id
from gateway.settings.tryon import TryonSettings

MAX_RETRY_AFTER = 3600.0
"""Seconds that a receiver can ask to be spared; one that asks for more is asked again then."""
_DICE = Random()  # noqa: S311 - spreads retries, keeps no secret


@dataclass(frozen=True)
class RetryPolicy:
    """The configuration's part in the callbacks.

    Attributes:
        asset_service: whether results are sent.
        load_balancer: whether the load balancer is told.
        retries: attempts at the asset service after which the load balancer is told.
        bounds: upper bounds in seconds of the first pauses.
        max_delay: upper bound of all pauses in seconds.
        max_age: seconds after which a callback is dead.
    """

    asset_service: bool
    load_balancer: bool
    retries: int
    bounds: tuple[float, ...]
    max_delay: float
    max_age: float

    @classmethod
    def of(cls, settings: TryonSettings) -> RetryPolicy:
        """Return the policy of a configuration."""
        return cls(
            asset_service=bool(settings.asset_service.callback_url),
            load_balancer=bool(settings.load_balancer.url),
            retries=settings.asset_service.retries,
            bounds=tuple(settings.asset_service.retry_backoff),
            max_delay=settings.callbacks.max_delay_seconds,
            max_age=settings.callbacks.max_age_seconds,
        )

    @property
    def longest_pause(self) -> float:
        """Seconds between two attempts at the most."""
        return max(self.max_delay, MAX_RETRY_AFTER)

    def deliveries(self, job_id: str, now: float) -> list[Delivery]:
        """Return a job's callbacks at its end: the load balancer's waits for the other one."""

        def one(destination: Destination, wanted: bool, due: float | None) -> Delivery:
            return Delivery(
                job_id, destination, event_id(job_id, destination),
                "pending" if wanted else "skipped",
                next_attempt=due if wanted else None, since=now,
            )  # fmt: skip

        return [
            one("asset_service", self.asset_service, now),
            one("load_balancer", self.load_balancer, None if self.asset_service else now),
        ]

    def pause(self, attempts: int, dice: Random = _DICE) -> float:
        """Return the seconds to wait after so many failed attempts (1, 2, …).

        Exponential backoff with full jitter: all of the pause is random, so that receivers that
        come back are not met by all callbacks at once.
        """
        beyond = max(0, attempts - len(self.bounds))
        bound = self.bounds[min(attempts, len(self.bounds)) - 1]
        # The exponent is bounded because a float is.
        return dice.uniform(0, min(self.max_delay, bound * 2.0 ** min(beyond, 60)))

    def unblocks(self, delivery: Delivery) -> Destination | None:
        """Return who may be told now that ``delivery`` stands as it does."""
        if delivery.destination != "asset_service":
            return None
        over = delivery.state != "pending" or delivery.attempts >= self.retries
        return "load_balancer" if over else None
