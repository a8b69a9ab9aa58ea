"""Golden samples: what an answer is compared with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.errors import GoldenSamplesDiffer
from contract.golden import GoldenSample

SAMPLE = GoldenSample(name="row 17", content_type="text/csv", body="1,ü\n", outputs={"high": 0.75, "low": 0.25})
PRICE = GoldenSample(name="row 3", content_type="image/png", body="iVBORw==", base64=True, outputs={"price": 3.5})


def answer(**outputs: Any) -> bytes:
    kind = "values" if "price" in outputs else "probabilities"
    return json.dumps({"predictions": [{kind: outputs}]}).encode()


def test_an_answer_within_the_tolerance_tells_its_largest_difference() -> None:
    assert SAMPLE.check(answer(high=0.74, low=0.2505), tolerance=0.011) == pytest.approx(0.01)
    assert PRICE.check(answer(price=3.5), tolerance=0.0) == 0.0


@pytest.mark.parametrize(
    ("sample", "given"),
    [
        (SAMPLE, answer(high=0.75, low=None)),
        (SAMPLE, answer(low=float("nan"), high=0.75)),
        (SAMPLE, answer(high=1.0)),
        (SAMPLE, answer(high=0.5, low=0.5)),
        (PRICE, answer(price=None)),
    ],
    ids=["null", "nan", "label-lacking", "too-far", "no-value"],
)
def test_an_answer_that_differs_or_is_no_number_is_refused(sample: GoldenSample, given: bytes) -> None:
    with pytest.raises(GoldenSamplesDiffer, match=sample.name):
        sample.check(given, tolerance=0.1)


def test_a_body_is_sent_as_it_was_uploaded() -> None:
    assert (SAMPLE.request_body(), PRICE.request_body()) == ("1,ü\n".encode(), b"\x89PNG")
