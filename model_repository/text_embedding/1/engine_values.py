"""How a model calls its network: the values for the engine that the network runs on. Pure Python.

The one place that decides them. A number in the model's configuration wins, 0 is decided here. What
the network runs on is told by whoever loaded it, in the parameter `networks` (the gateway's
gateway/health/network_facts.py writes it); where nobody tells anything, it is a CPU.

They are usual values: where a model may measure its network (calibration.py), it leaves them for
what the network does on this machine, within the limits given here. Those for CPUs were measured
(load_tests/RESULTS.md). Those for GPUs are reasoned and were not measured: a call costs about a
millisecond of Triton and of Python whatever is in it, so that it must hold several times as much
work as it does on a CPU, and two calls for each instance let one compute while the other is copied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

PICTURE_STEP = 160
"""Sides of detector pictures on a GPU are multiples of it: cuDNN plans every convolution anew for a
size that it has not seen, and of 640 pixels there are 4 sizes, not 20."""


@dataclass(frozen=True)
class NetworkEngine:
    """Where a network runs.

    Attributes:
        on_gpu: Whether it is a GPU.
        instances: Calls that it computes at the same time.
        most_rows: Rows that every configuration of it takes in one call; None: not known.
    """

    on_gpu: bool = False
    instances: int = 2
    most_rows: int | None = None


@dataclass(frozen=True)
class Calls:
    """How a network is called.

    Attributes:
        rows: Most rows in a call.
        tokens: Most padded tokens in a call; 0 where rows have none.
        in_flight: Calls under way at the same time.
    """

    rows: int
    tokens: int
    in_flight: int


@dataclass(frozen=True)
class Defaults:
    """What a kind of caller does by itself; attributes as of `Calls`.

    Attributes:
        name: Of the kind, for the files that keep measurements.
        cpu_most_rows: Most rows that a measurement may choose on a CPU; on a GPU the usual ones are
            the most. Memory is planned with them (gateway/capacity).
        cpu_most_tokens: Likewise.
        most_in_flight: Most calls under way that a measurement may choose, unless there are more
            instances.
        lengths: Tokens of the short and of the long rows that are measured; one number where rows
            have none.
        longest_ms: Most milliseconds of a call, unless a single row takes longer. A short request
            waits for one call at most, so it waits no longer than that.
    """

    name: str
    cpu_rows: int
    gpu_rows: int
    cpu_most_rows: int
    cpu_tokens: int = 0
    gpu_tokens: int = 0
    cpu_most_tokens: int = 0
    most_in_flight: int = 4
    lengths: tuple[int, ...] = (1,)
    longest_ms: float = 100.0

    def up_to(self, most: int) -> Defaults:
        """Return the same for a network that takes rows of at most so many tokens."""
        return replace(self, lengths=tuple(min(length, most) for length in self.lengths))


# 16 texts: of 8 to 32 short ones a CPU takes about the same time each (7 to 10 % apart), and the
# more there are in a call, the less its other costs weigh. 512 tokens are 32 of them.
EMBEDDINGS = Defaults("embeddings", 16, 64, 64, 512, 16_384, 4_096, lengths=(16, 128))
# Pairs of texts for a cross-encoder: as texts, and longer.
PAIRS = Defaults("pairs", 16, 64, 32, 512, 16_384, 2_048, lengths=(32, 128))
# Every token's state comes back through shared memory: 12 MiB a call on a GPU.
TOKEN_STATES = Defaults("token_states", 8, 64, 32, 512, 8_192, 2_048, lengths=(16, 128))
# On a CPU 4 pictures keep the activations in the second-level cache.
PICTURES = Defaults("pictures", 4, 32, 8)
# On a CPU 3 let both instances share one picture's six.
CROPS = Defaults("crops", 3, 64, 16)
# Pictures searched for faces, one in a call.
SEARCHES = Defaults("searches", 1, 1, 1, most_in_flight=8)


def network_engine(parameters: Mapping[str, str], network: str) -> NetworkEngine:
    """Return what the parameter `networks` tells of a network.

    Args:
        parameters: Of the calling model. `networks` is JSON: {network: {"device": "cuda:1",
            "instances": 2, "most_rows": 128}}.
        network: Triton's name of it.
    """
    report = json.loads(parameters.get("networks") or "{}").get(network)
    if report is None:
        return NetworkEngine()
    return NetworkEngine(
        on_gpu=str(report["device"]).startswith("cuda"),
        instances=int(report["instances"]),
        most_rows=int(report["most_rows"]) or None,
    )


def most_calls(defaults: Defaults, engine: NetworkEngine) -> Calls:
    """Return the most of each value that a measurement may choose."""
    rows, tokens = defaults.cpu_most_rows, defaults.cpu_most_tokens
    if engine.on_gpu:
        rows, tokens = defaults.gpu_rows, defaults.gpu_tokens
    in_flight = max(defaults.most_in_flight, calls(defaults, engine).in_flight)
    return Calls(min(rows, engine.most_rows or rows), tokens, in_flight)


def calls(
    defaults: Defaults,
    engine: NetworkEngine,
    *,
    rows: str = "0",
    tokens: str = "0",
    in_flight: str = "0",
) -> Calls:
    """How a caller of this kind calls a network.

    Args:
        defaults: The kind.
        engine: Of the network.
        rows: The configuration's word on it, a number; 0: decided here.
        tokens: Likewise.
        in_flight: Likewise.

    Raises:
        ValueError: A word that is no number.
    """
    if engine.on_gpu:
        usual = Calls(defaults.gpu_rows, defaults.gpu_tokens, 2 * engine.instances)
    else:
        usual = Calls(defaults.cpu_rows, defaults.cpu_tokens, engine.instances)
    return Calls(
        rows=int(rows) or min(usual.rows, engine.most_rows or usual.rows),
        tokens=int(tokens) or usual.tokens,
        in_flight=int(in_flight) or usual.in_flight,
    )


def picture_step(engine: NetworkEngine) -> int:
    """Return what the sides of pictures are multiples of for a network of any size."""
    return PICTURE_STEP if engine.on_gpu else 1
