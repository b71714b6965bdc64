"""Pictures of concurrent requests share executions, and the answers tell so truthfully."""

from __future__ import annotations

from collections import Counter

import numpy as np
from tritonclient import grpc

from tests.support.vision_models import Answer, VisionModels


def test_concurrent_requests_form_batches_that_are_told(
    vision_models: VisionModels, pictures: dict[str, bytes]
) -> None:
    files = list(pictures.values()) * 10
    before = vision_models.executions("image_classifier")
    answers = vision_models.classify_all(files, clients=24)
    after = vision_models.wait_rows("image_classifier", before[0] + 100)
    found = [answer for answer in answers if isinstance(answer, Answer)]
    assert len(found) == len(files) == 100
    # Triton's own count of rows and executions: a batch of n is told by n rows.
    told = Counter(answer.batch_size for answer in found)
    assert after[0] - before[0] == 100
    assert round(sum(rows / size for size, rows in told.items())) == after[1] - before[1]
    assert max(told) > 1
    assert after[1] - before[1] < 70


def test_a_lone_request_is_a_batch_of_one(
    vision_models: VisionModels, pictures: dict[str, bytes]
) -> None:
    assert vision_models.classify(pictures["rocket.webp"]).batch_size == 1


def test_the_answer_does_not_depend_on_the_company(
    vision_models: VisionModels, pictures: dict[str, bytes]
) -> None:
    alone = {name: vision_models.classify(file) for name, file in pictures.items()}
    names = list(pictures) * 6
    crowd = vision_models.classify_all([pictures[name] for name in names], clients=16)
    for name, answer in zip(names, crowd, strict=True):
        assert isinstance(answer, Answer)
        assert answer.classes == alone[name].classes
        np.testing.assert_allclose(answer.confidences, alone[name].confidences, atol=1e-5)


def test_the_network_counts_whatever_batch_it_is_sent(vision_models: VisionModels) -> None:
    for rows in (1, 3, 32):
        tensor = grpc.InferInput("image", [rows, 224, 224, 3], "UINT8")
        tensor.set_data_from_numpy(np.zeros((rows, 224, 224, 3), np.uint8))
        answer = vision_models.client.infer("image_classifier", [tensor])
        assert answer.as_numpy("batch_size").tolist() == [[rows]] * rows
        assert answer.as_numpy("logits").shape == (rows, 1000)
