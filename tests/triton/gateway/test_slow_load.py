"""A model that takes longer to load than the gateway waits: loaded once, whoever asks again."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import DeadlineError
from gateway.model_config import parameters, read_config
from gateway.settings.triton import TritonSettings
from gateway.triton.client import TritonClient
from launcher.server import TritonServer

CONFIG = """
name: "slow"
backend: "python"
output [ { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] } ]
input [ { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
MODEL = """
import time

class TritonPythonModel:
    def initialize(self, args):
        with open({file!r}, "a") as file:
            file.write("begun\\n")
        time.sleep(5)

    def execute(self, requests):
        return []
"""


async def test_a_load_under_way_is_waited_for_and_not_done_twice(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    folder = tmp_path / "repository" / "slow" / "1"
    folder.mkdir(parents=True)
    (folder.parent / "config.pbtxt").write_text(CONFIG)
    (folder / "model.py").write_text(MODEL.format(file=str(begun)))
    with TritonServer.on_free_ports(folder.parents[1], log=tmp_path / "log") as server:
        given = {"url": server.grpc_url, "start": False}
        hasty = TritonClient(TritonSettings(**given, load_timeouts={"slow": 1}))
        successor = TritonClient(TritonSettings(**given))  # of a gateway that was restarted
        for _ in range(2):
            with pytest.raises(DeadlineError):
                await hasty.load("slow")
        assert await hasty.ready_models() == set()
        await successor.load("slow")
        assert await successor.ready_models() == {"slow"}
        await hasty.close()
        await successor.close()
    assert begun.read_text().split() == ["begun"]


def test_the_vlm_may_take_longer_than_its_engine() -> None:
    own = parameters(read_config(Path("model_repository/vlm/config.pbtxt")))["start_seconds"]
    settings = TritonSettings()
    assert settings.load_timeout("vlm") > int(own)  # so that vLLM says itself what went wrong
    assert settings.load_timeout("text_embedding") == settings.load_timeout_seconds == 300
    longer = TritonSettings(load_timeout_seconds=7200, load_timeouts={"text_embedding": 5})
    assert longer.load_timeout("vlm") == 7200
    assert longer.load_timeout("text_embedding") == 5
