"""What the gateway costs: the same requests through it, and straight to Triton by gRPC.

    python -m load_tests.direct [--service vision]
    python -m load_tests.direct --gateway http://127.0.0.1:8765 [--triton 127.0.0.1:8001]

Without addresses Pentad is started on free ports. Both ways alternate for several rounds, once
with 1 client (added latency) and once with many (share of the direct throughput).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import uvloop
from tritonclient.grpc import service_pb2, service_pb2_grpc

from gateway.settings.socket_file import socket_address
from load_tests import pictures, servers, text, vision, workload
from load_tests.client import Address, Answer, build_request
from load_tests.measure import Load, Send, closed_loop, http_load, percentile
from load_tests.scenarios import Call

DEADLINE = 60.0
THROUGHPUT_SHARE = 0.85
"""Least share of the direct throughput; below it this program fails."""


@dataclass(frozen=True)
class Target:
    """One service's model, and the same question in both wire formats."""

    model: str
    input: str
    """A BYTES tensor of one row."""
    outputs: tuple[str, ...]
    inputs: Callable[[], list[bytes]]
    """Content of the distinct requests."""
    call: Call
    given: Callable[[bytes], Any]
    """Content as ``call`` takes it."""
    clients: int
    """Of the comparison of throughput."""
    added_ms: float
    """Most that the gateway may add to a lone client's median latency."""

    def request(self, content: bytes) -> service_pb2.ModelInferRequest:
        """Return the inference request."""
        request = service_pb2.ModelInferRequest(model_name=self.model)
        tensor = request.inputs.add(name=self.input, datatype="BYTES", shape=[1, 1])
        tensor.contents.bytes_contents.append(content)
        for name in self.outputs:
            request.outputs.add(name=name)
        return request


TARGETS = {
    "text": Target(
        model="text_embedding",
        input="TEXT",
        outputs=("EMBEDDING",),
        inputs=lambda: [texts[0].encode() for texts in workload.embed_short(4096)],
        call=text.EMBED,
        given=lambda content: [content.decode()],
        clients=32,
        added_ms=1.0,
    ),
    "vision": Target(
        model="image_classification",
        input="IMAGE",
        outputs=("LABEL", "CONFIDENCE", "BATCH_SIZE", "TIMING_MS"),
        inputs=lambda: pictures.jpegs(256),
        call=vision.OLD.calls["classify"],
        given=lambda content: content,
        clients=16,
        added_ms=2.0,
    ),
}


async def triton_load(
    target: Target, url: str, clients: int, seconds: float, warmup: float
) -> Load:
    """Run the closed loop straight against Triton, all clients on one channel."""
    requests = [target.request(content) for content in target.inputs()]
    async with grpc.aio.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        async def send(index: int) -> Answer:
            try:
                reply = await stub.ModelInfer(requests[index], timeout=DEADLINE)
            except grpc.aio.AioRpcError:
                return Answer(0, b"")
            return Answer(200, reply.raw_output_contents[0])

        senders: list[Send] = [send] * clients
        return await closed_loop(senders, len(requests), seconds=seconds, warmup=warmup)


async def gateway_load(
    target: Target, address: Address, clients: int, seconds: float, warmup: float
) -> Load:
    """Run the closed loop through the gateway."""
    call = target.call
    payloads = [
        build_request(address, "POST", call.path, call.body(target.given(content)))
        for content in target.inputs()
    ]
    return await http_load(address, payloads, clients=clients, seconds=seconds, warmup=warmup)


async def compare(
    target: Target, address: Address, url: str, rounds: int, seconds: float, warmup: float
) -> dict[str, float]:
    """Return medians over the rounds: latencies, rates, and what the gateway adds."""
    figures: dict[str, list[float]] = {}
    errors = 0
    many = target.clients
    for turn in range(rounds):
        for clients in (1, many):
            ways = ("gateway", "direct") if turn % 2 else ("direct", "gateway")
            for way in ways:
                if way == "direct":
                    load = await triton_load(target, url, clients, seconds, warmup)
                else:
                    load = await gateway_load(target, address, clients, seconds, warmup)
                errors += load.errors
                figures.setdefault(f"{way}_{clients}_p50_ms", []).append(
                    percentile(load.latencies, 0.5) * 1e3
                )
                figures.setdefault(f"{way}_{clients}_rate", []).append(load.rate)
    result = {key: median(values) for key, values in figures.items()}
    result["added_ms"] = result["gateway_1_p50_ms"] - result["direct_1_p50_ms"]
    result["throughput_share"] = result[f"gateway_{many}_rate"] / result[f"direct_{many}_rate"]
    result["errors"] = errors
    return result


async def run(args: argparse.Namespace) -> dict[str, float]:
    """Compare on a running Pentad, or on one started for it."""
    numbers = (args.rounds, args.seconds, args.warmup)
    target = TARGETS[args.service]
    if args.gateway:
        return await compare(target, Address.parse(args.gateway), args.triton, *numbers)
    server = servers.build(args.server, args.service, Path("var/cache"))
    async with servers.running(server, args.results / "logs" / "direct.log"):
        return await compare(target, server.address, server.env["PENTAD_TRITON__URL"], *numbers)


def main() -> int:
    """Measure, write direct-SERVICE.json; 1 when the gateway costs more than the limits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--service", choices=list(TARGETS), default="text")
    parser.add_argument("--gateway", help="URL with the service's root paths")
    parser.add_argument(
        "--triton", default=socket_address(Path("var")), help="Triton's gRPC address"
    )
    parser.add_argument(
        "--server", default="pentad", help="what to start: pentad, pentad-default …"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--warmup", type=float, default=2)
    parser.add_argument("--results", type=Path, default=Path("load_tests/results"))
    args = parser.parse_args()
    result = uvloop.run(run(args))
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / f"direct-{args.service}.json").write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(f"{key:22} {value:9.2f}" for key, value in result.items()))
    added = TARGETS[args.service].added_ms
    kept = result["added_ms"] <= added and result["throughput_share"] >= THROUGHPUT_SHARE
    return 0 if kept and not result["errors"] else 1


if __name__ == "__main__":
    sys.exit(main())
