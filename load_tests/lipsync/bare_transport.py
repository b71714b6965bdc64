"""`python -m load_tests.lipsync.bare_transport BYTES`: a gRPC server that does nothing.

It answers every InferBatch with that many zeros, so that a client of it measures what gRPC alone
takes for messages of those sizes. Prints its port.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from load_tests.lipsync.gateway_client import INFER, UNLIMITED
from load_tests.servers import ROOT


@contextlib.contextmanager
def answering(size: int) -> Iterator[str]:
    """Run it in a process of its own; the block gets its address."""
    command = [sys.executable, "-m", "load_tests.lipsync.bare_transport", str(size)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def main() -> None:
    """Serve until it is terminated."""
    service, method = INFER.strip("/").split("/")
    answer = bytes(int(sys.argv[1]))
    handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)
    server = grpc.server(ThreadPoolExecutor(2), options=UNLIMITED)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
