from __future__ import annotations

import base64
import json
import time
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qs

from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from gateway.services.tryon.jobs.messages import result_event, result_message
from gateway.services.tryon.jobs.models import Job, JobError
from gateway.services.tryon.jobs.signature import key_of, sign

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)


def job(job_id: str = "j", **changes: object) -> Job:
    values: dict[str, object] = {
        "id": job_id, "digest": "d", "folder": "f", "node": "node-1", "user_id": "u",
        "session_id": "s", "provider": "qwen", "options": {}, "created": 0.0, "deadline": 1.0,
        "state": "delivering", "report": {"inference_time_ms": 1234.4},
        "content_type": "image/png",
    }  # fmt: skip
    return Job(**{**values, **changes})  # type: ignore[arg-type]


@given(TEXT, st.binary(max_size=400))
def test_whatever_a_client_sent_comes_out_as_it_was(text: str, image: bytes) -> None:
    message = result_message(job(text, user_id=text), [image], "1.0", multipart_errors=True)
    head = f"Content-Type: {message.content_type}\r\n\r\n".encode()
    parts = list(BytesParser(policy=HTTP).parsebytes(head + message.body).iter_parts())
    names = [part.get_param("name", header="content-disposition") for part in parts]
    assert names == ["job_id", "user_id", "session_id", "provider", "node_id", "model_version",
                     "inference_time_ms", "output_image"]  # fmt: skip
    # The email package undoes line ends of text parts; the bytes themselves are what counts.
    assert f'name="job_id"\r\n\r\n{text}\r\n--'.encode() in message.body
    assert b"Content-Type: image/png\r\n\r\n" + image + b"\r\n--" in message.body
    assert b'name="inference_time_ms"\r\n\r\n1234\r\n' in message.body


@given(st.text(min_size=1, max_size=60), st.binary(max_size=400))
def test_as_an_event_any_library_of_the_specification_can_check_it(text: str, image: bytes) -> None:
    message = result_event(job(text, user_id=text), [image], "1.0", 1_800_000_000.25)
    assert message.content_type == "application/json"
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    headers = sign("msg_1", int(time.time()), message.body, [key_of(secret)])
    event = Webhook(secret).verify(message.body, headers)
    assert list(event) == ["type", "timestamp", "data"]
    assert (event["type"], event["timestamp"]) == ("tryon.completed", "2027-01-15T08:00:00.250Z")
    assert base64.b64decode(event["data"].pop("output_image"), validate=True) == image
    assert event["data"] == {
        "job_id": text, "user_id": text, "session_id": "s", "provider": "qwen",
        "node_id": "node-1", "model_version": "1.0", "inference_time_ms": 1234,
        "content_type": "image/png",
    }  # fmt: skip


def test_a_failure_as_an_event() -> None:
    failed = job(state="failed", error=JobError("pose", "Inference"), report={})
    event = json.loads(result_event(failed, [], "1.0", 0.0).body)
    assert event["type"] == "tryon.failed"
    assert event["data"]["error"].startswith("pose: ")
    assert event["data"]["inference_time_ms"] == 0
    assert "output_image" not in event["data"]


def test_failures_in_both_forms() -> None:
    failed = job(state="failed", report={}, error=JobError("pose", "Inference"))
    form = result_message(failed, [], "1.0", multipart_errors=True)
    assert b'name="error"\r\n\r\npose: ' in form.body
    assert b"output_image" not in form.body
    old = result_message(failed, [], "1.0", multipart_errors=False)
    fields = parse_qs(old.body.decode())
    assert fields["inference_time_ms"] == ["0"]
    assert fields["error"][0].endswith("(Inference)")


def test_the_file_is_named_by_its_type() -> None:
    made = result_message(job(content_type="image/jpeg"), [b"x"], "1.0", multipart_errors=True)
    assert b'filename="result.jpg"\r\nContent-Type: image/jpeg' in made.body


def test_further_pictures_stand_behind_the_documented_one() -> None:
    one, several = (
        result_message(job(), images, "1.0", multipart_errors=True)
        for images in ([b"first"], [b"first", b"second", b"third"])
    )
    boundary, other = (message.content_type.partition("=")[2] for message in (one, several))
    same = one.body.replace(boundary.encode(), other.encode()).removesuffix(b"--\r\n")
    assert several.body.startswith(same)  # who knows of one picture reads what it always read
    assert b'name="output_image_2"; filename="result_2.png"\r\n' in several.body
    assert b'name="output_image_3"; filename="result_3.png"\r\n' in several.body
    data = json.loads(result_event(job(), [b"a", b"b"], "1.0", 0.0).body)["data"]
    assert [base64.b64decode(data[name]) for name in ("output_image", "output_image_2")] == [
        b"a",
        b"b",
    ]
    assert "output_image_3" not in data
