"""Hands a try-on job in, follows it and saves its picture; or receives callbacks.

Needs httpx.

    python examples/tryon_client.py run person.jpg shirt.jpg            # writes result.png
    python examples/tryon_client.py run person.jpg shirt.jpg --seed 7 --resolution 480p
    python examples/tryon_client.py receive --port 9009 --secret-file var/tryon/webhook.secret

`receive` is what an asset service and a load balancer have to do: check the signature over the
bytes of the body, answer 2xx quickly, and know an event that comes a second time by its id.
"""

# ruff: noqa: T201 - a program for the command line
from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

SILENCE_SECONDS = 45  # the server sends at least a comment every 15 s
TOLERANCE_SECONDS = 300
BODY_BYTES = 64 << 20


def events(client: httpx.Client, job: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and data of every Server-Sent Event of a job."""
    with client.stream("GET", f"/jobs/{job}/events", timeout=SILENCE_SECONDS) as response:
        response.raise_for_status()
        name = "message"
        for line in response.iter_lines():
            field, _, value = line.partition(":")
            if field == "event":
                name = value.strip()
            elif field == "data":
                yield name, json.loads(value)


def follow(client: httpx.Client, job: str) -> dict[str, Any]:
    """Print a job's progress until its picture is there or will never be; returns the job."""
    while True:
        try:
            for name, state in events(client, job):
                step = state["step"] or ""
                print(f"\r{state['state']:<12}{state['progress']:>5.0%} {step:<20}", end="")
                if name == "end" or state["state"] not in ("queued", "running"):
                    print()
                    return state
        except httpx.TransportError:
            pass
        time.sleep(1)  # the connection was lost; the job was not


def run(args: argparse.Namespace) -> int:
    """Hand a job in and return the exit code."""
    chosen = {"seed": args.seed, "steps": args.steps, "cfg": args.cfg, "prompt": args.prompt,
              "resolution": args.resolution}  # fmt: skip
    config = {name: value for name, value in chosen.items() if value is not None}
    job = args.job or str(uuid.uuid4())
    headers = {"X-Internal-Auth": args.key} if args.key else {}
    with httpx.Client(base_url=args.url, headers=headers, timeout=60) as client:
        fields = {"job_id": job, "user_id": "example", "session_id": str(uuid.uuid4()),
                  "provider": "qwen", "config": json.dumps(config)}  # fmt: skip
        files = {"masked_user_image": (args.person.name, args.person.read_bytes()),
                 "garment_image": (args.garment.name, args.garment.read_bytes())}  # fmt: skip
        # The same job again is the same job: after a lost answer it can simply be repeated.
        answer = client.post("/tryon", data=fields, files=files)
        while answer.status_code == 429:
            pause = int(answer.headers["Retry-After"])
            print(f"busy, again in {pause} s")
            time.sleep(pause)
            answer = client.post("/tryon", data=fields, files=files)
        if answer.status_code != 202:
            print(f"{answer.status_code}: {answer.text}", file=sys.stderr)
            return 1
        print(f"job {job}")
        state = follow(client, job)
        if state["error"]:
            error = state["error"]
            print(f"{error['code']} in {error['step']}: {error['detail']}", file=sys.stderr)
        if not state["result"]:
            return 1
        picture = client.get(f"/jobs/{job}/result").raise_for_status()
    args.output.write_bytes(picture.content)
    print(
        f"{args.output}: {picture.headers['content-type']}, seed {state['seed']}, "
        f"{state['inference_time_ms']} ms with {state['engine']}"
        + ("" if state["photorealistic"] else ", not photorealistic")
    )
    return 0


def verified(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Return whether a callback is genuine and recent (https://www.standardwebhooks.com).

    Args:
        secret: `whsec_` and base64.
        headers: with `webhook-id`, `webhook-timestamp` and `webhook-signature`, in any case.
        body: the bytes as they came, before anything parses them.
        now: seconds since the epoch.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    event, stamp = lower.get("webhook-id", ""), lower.get("webhook-timestamp", "")
    if not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_") + "==")
    digest = hmac.new(key, f"{event}.{stamp}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(digest)
    # Several while the secret is being replaced.
    offered = lower.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(expected, one) for one in offered)


def fields_of(content_type: str, body: bytes) -> dict[str, bytes]:
    """Return the fields of a multipart or JSON body; a picture is one of them."""
    if content_type.startswith("application/json"):
        told = json.loads(body)
        fields = {
            name: json.dumps(value).encode() for name, value in told.get("data", told).items()
        }
        if "output_image" in fields:  # asset_service.format: json
            fields["output_image"] = base64.b64decode(told["data"]["output_image"])
        return fields
    message = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    parts = message.get_payload() if message.is_multipart() else []
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in parts
    }


class Receiver(BaseHTTPRequestHandler):
    """Takes results and notices."""

    secret = ""
    folder = Path()
    seen: set[str] = set()  # a real service keeps these where it keeps the results

    def do_POST(self) -> None:
        """Check, keep what is new, and acknowledge."""
        length = int(self.headers.get("Content-Length", "0"))
        status = 413 if length > BODY_BYTES else self._take(self.rfile.read(length))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _take(self, body: bytes) -> int:
        if not verified(self.secret, self.headers, body, time.time()):
            print(f"{self.path}: not genuine")
            return 401
        event = self.headers["webhook-id"]
        if event in self.seen:
            print(f"{self.path}: {event} once more")
            return 200
        fields = fields_of(self.headers.get("Content-Type", ""), body)
        picture = fields.pop("output_image", None)
        told = [f"{name}={value.decode()}" for name, value in fields.items()]
        if picture is not None:
            name = hashlib.sha256(event.encode()).hexdigest()[:16]  # ids are the caller's words
            (self.folder / f"{name}.png").write_bytes(picture)
            told.append(f"saved {name}.png")
        self.seen.add(event)
        print(f"{self.path}: {event}: {', '.join(told)}")
        return 200

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing else."""


def receive(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    Receiver.secret = args.secret or args.secret_file.read_text(encoding="ascii").strip()
    Receiver.folder = args.folder
    with ThreadingHTTPServer((args.host, args.port), Receiver) as server:
        print(f"receiving on {args.host}:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def main() -> int:
    """Parse the arguments and do it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    job = commands.add_parser("run", help="hand a job in")
    job.set_defaults(do=run)
    job.add_argument("person", type=Path)
    job.add_argument("garment", type=Path)
    job.add_argument("--url", default="http://127.0.0.1:9000/vton")
    job.add_argument("--output", type=Path, default=Path("result.png"))
    job.add_argument("--job", help="id of the job; default: a new UUID")
    job.add_argument("--seed", type=int)
    job.add_argument("--steps", type=int)
    job.add_argument("--cfg", type=float)
    job.add_argument("--prompt")
    job.add_argument("--resolution", choices=("480p", "720p", "1080p"))
    job.add_argument(
        "--key",
        default=os.environ.get("PENTAD_KEY"),
        help="key or internal token; default: $PENTAD_KEY, which other users cannot read",
    )
    server = commands.add_parser("receive", help="receive callbacks")
    server.set_defaults(do=receive)
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--port", type=int, default=9009)
    secret = server.add_mutually_exclusive_group(required=True)
    secret.add_argument("--secret-file", type=Path, help="file with whsec_ and base64")
    secret.add_argument("--secret", help="the same itself; every user of the machine can read it")
    server.add_argument("--folder", type=Path, default=Path(), help="for the pictures")
    args = parser.parse_args()
    return int(args.do(args))


if __name__ == "__main__":
    raise SystemExit(main())
