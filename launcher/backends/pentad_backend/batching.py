"""Runs the requests of one execution as one forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .configuration import Config, max_batch_size
from .placement import Computed
from .tensors import RequestError, TensorInfo, decode_strings, encode_strings

Array = NDArray[Any]
Feeds = dict[str, Array]


class Engine(Protocol):
    """A loaded graph."""

    @property
    def computed(self) -> Computed:
        """Where it runs."""

    @property
    def version(self) -> str:
        """Version of the engine's library."""

    @property
    def inputs(self) -> Mapping[str, TensorInfo]:
        """Required inputs."""

    @property
    def overridable(self) -> Mapping[str, TensorInfo]:
        """Initializers that a request may replace."""

    @property
    def outputs(self) -> Mapping[str, TensorInfo]:
        """Outputs."""

    def run(self, feeds: Feeds, outputs: Sequence[str]) -> Sequence[Array]:
        """Compute the named outputs, in order."""


class Runner:
    """Maps requests to forward passes of an engine."""

    def __init__(self, engine: Engine, config: Config) -> None:
        """Prepare what does not change between executions."""
        self._engine = engine
        self._batched = max_batch_size(config) > 0
        known = {**engine.inputs, **engine.overridable}
        configured_inputs = {io["name"]: known[io["name"]] for io in config["input"]}
        configured_outputs = {io["name"]: engine.outputs[io["name"]] for io in config["output"]}
        self._text_inputs = _names_of_type(configured_inputs, "TYPE_STRING")
        self._text_outputs = _names_of_type(configured_outputs, "TYPE_STRING")
        self._scalar_inputs = {name for name, info in configured_inputs.items() if not info.shape}
        self._scalar_outputs = {
            io["name"]: [int(size) for size in io["dims"]]
            for io in config["output"]
            if not configured_outputs[io["name"]].shape
        }
        self._plain = not self._text_inputs and not self._scalar_inputs

    def run(
        self, requests: Sequence[Feeds], wanted: Sequence[Sequence[str]]
    ) -> list[Feeds | Exception]:
        """Answers `requests`, which have equal shapes apart from the batch dimension.

        Args:
            requests: Inputs of each request by name.
            wanted: Outputs that each request asks for.

        Returns:
            For each request its outputs by name, or the error to answer with.
        """
        answers: list[Feeds | Exception] = []
        good: list[int] = []
        feeds: list[Feeds] = []
        for index, request in enumerate(requests):
            try:
                feeds.append(request if self._plain else self._prepare(request))
            except RequestError as error:
                answers.append(error)
            else:
                answers.append({})
                good.append(index)
        groups = [good] if self._batched and good else [[index] for index in good]
        prepared = dict(zip(good, feeds, strict=True))
        for group in groups:
            try:
                results = self._forward(
                    [prepared[index] for index in group], [wanted[index] for index in group]
                )
            except Exception as error:  # an engine may raise anything
                for index in group:
                    answers[index] = error
            else:
                for index, result in zip(group, results, strict=True):
                    if len(groups) > 1:  # an engine may reuse its output memory in the next pass
                        result = {name: np.array(array) for name, array in result.items()}
                    answers[index] = result
        return answers

    def _prepare(self, request: Feeds) -> Feeds:
        feeds = dict(request)
        for name in self._text_inputs & feeds.keys():
            feeds[name] = decode_strings(name, feeds[name])
        for name in self._scalar_inputs & feeds.keys():
            feeds[name] = feeds[name].reshape(())
        return feeds

    def _forward(self, group: list[Feeds], wanted: list[Sequence[str]]) -> list[Feeds]:
        if len(group) == 1:
            names = list(wanted[0])
            return [self._finish(names, self._engine.run(group[0], names))]
        # Insertion order keeps the run deterministic; requests mostly want the same outputs.
        names = list(dict.fromkeys(name for request in wanted for name in request))
        feeds = {key: np.concatenate([feed[key] for feed in group]) for key in group[0]}
        outputs = self._finish(names, self._engine.run(feeds, names))
        first = next(iter(group[0]))
        sizes = [len(feed[first]) for feed in group]
        total = sum(sizes)
        for name, array in outputs.items():
            if len(array) != total:
                raise RuntimeError(
                    f"failed to split the output tensor '{name}': expected batch size {total} in "
                    f"model output, got {len(array)}"
                )
        answers = []
        start = 0
        for size, request in zip(sizes, wanted, strict=True):
            answers.append({name: outputs[name][start : start + size] for name in request})
            start += size
        return answers

    def _finish(self, names: Sequence[str], arrays: Sequence[Array]) -> Feeds:
        outputs = dict(zip(names, arrays, strict=True))
        for name in self._text_outputs & outputs.keys():
            outputs[name] = encode_strings(np.asarray(outputs[name]))
        for name in self._scalar_outputs.keys() & outputs.keys():
            outputs[name] = np.asarray(outputs[name]).reshape(self._scalar_outputs[name])
        return outputs


def _names_of_type(tensors: Mapping[str, TensorInfo], data_type: str) -> set[str]:
    return {name for name, info in tensors.items() if info.data_type == data_type}
