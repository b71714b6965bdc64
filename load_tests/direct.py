"""What the gateway costs: the same texts through it, and straight to Triton by gRPC.

    python -m load_tests.direct [--gateway http://127.0.0.1:8765 --triton 127.0.0.1:8001]

Without addresses Pentad is started on free ports. Both ways alternate for several rounds, once
with 1 client (added latency) and once with 32 (share of the direct throughput).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import grpc
import uvloop
from tritonclient.grpc import service_pb2, service_pb2_grpc

from load_tests import servers, workload
from load_tests.client import Address, Answer, build_request
from load_tests.measure import Load, Send, closed_loop, http_load, percentile
from load_tests.scenarios import OLD

MODEL = "text_embedding"
DEADLINE = 60.0
ADDED_MS = 1.0
THROUGHPUT_SHARE = 0.85
"""The limits that make this program fail."""


def triton_request(texts: Sequence[str]) -> service_pb2.ModelInferRequest:
    """Return the inference request for these texts: TEXT is BYTES [n, 1]."""
    request = service_pb2.ModelInferRequest(model_name=MODEL)
    tensor = request.inputs.add(name="TEXT", datatype="BYTES", shape=[len(texts), 1])
    tensor.contents.bytes_contents.extend(text.encode() for text in texts)
    request.outputs.add(name="EMBEDDING")
    return request


async def triton_load(url: str, clients: int, seconds: float, warmup: float) -> Load:
    """Run the closed loop straight against Triton, all clients on one channel."""
    requests = [triton_request(texts) for texts in workload.embed_short(4096)]
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


async def gateway_load(address: Address, clients: int, seconds: float, warmup: float) -> Load:
    """Run the closed loop through the gateway."""
    payloads = [
        build_request(address, "POST", OLD.embed_path, OLD.embed_body(texts))
        for texts in workload.embed_short(4096)
    ]
    return await http_load(address, payloads, clients=clients, seconds=seconds, warmup=warmup)


async def compare(
    address: Address, url: str, rounds: int, seconds: float, warmup: float
) -> dict[str, float]:
    """Return medians over the rounds: latencies, rates, and what the gateway adds."""
    figures: dict[str, list[float]] = {}
    errors = 0
    for turn in range(rounds):
        for clients in (1, 32):
            ways = ("gateway", "direct") if turn % 2 else ("direct", "gateway")
            for way in ways:
                if way == "direct":
                    load = await triton_load(url, clients, seconds, warmup)
                else:
                    load = await gateway_load(address, clients, seconds, warmup)
                errors += load.errors
                figures.setdefault(f"{way}_{clients}_p50_ms", []).append(
                    percentile(load.latencies, 0.5) * 1e3
                )
                figures.setdefault(f"{way}_{clients}_rate", []).append(load.rate)
    result = {key: median(values) for key, values in figures.items()}
    result["added_ms"] = result["gateway_1_p50_ms"] - result["direct_1_p50_ms"]
    result["throughput_share"] = result["gateway_32_rate"] / result["direct_32_rate"]
    result["errors"] = errors
    return result


async def run(args: argparse.Namespace) -> dict[str, float]:
    """Compare on a running Pentad, or on one started for it."""
    numbers = (args.rounds, args.seconds, args.warmup)
    if args.gateway:
        return await compare(Address.parse(args.gateway), args.triton, *numbers)
    server = servers.build(args.server, Path("var/cache"))
    async with servers.running(server, args.results / "logs" / "direct.log"):
        return await compare(server.address, server.env["PENTAD_TRITON__URL"], *numbers)


def main() -> int:
    """Measure, write direct.json; 1 when the gateway costs more than the limits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gateway", help="URL with the text API's root paths")
    parser.add_argument("--triton", default="127.0.0.1:8001", help="host:port of Triton's gRPC")
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
    (args.results / "direct.json").write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(f"{key:22} {value:9.2f}" for key, value in result.items()))
    kept = result["added_ms"] <= ADDED_MS and result["throughput_share"] >= THROUGHPUT_SHARE
    return 0 if kept and not result["errors"] else 1


if __name__ == "__main__":
    sys.exit(main())
