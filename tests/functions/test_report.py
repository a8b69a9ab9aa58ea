"""report.html: well-formed, complete, and nothing of a run can break out of its text."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from contract.manifest import Feature
from contract.run import Failure, Outcome, Run
from functions import report
from functions.report import words
from functions.report.charts import Line, confusion, line_chart
from functions.report.markup import el
from tests.functions import examples

HOSTILE = "</script><script>alert(1)</script><img src=x onerror='alert(\"2\")'>\x00 & é 📈"


class Page(HTMLParser):
    """A page as a browser reads it: open elements must be closed in order."""

    VOID = ("meta", "br", "hr", "col")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def headings(self) -> list[str]:
        return re.findall(r"<h2>(.*?)</h2>", self.source)

    source = ""


def page(run: Run) -> Page:
    text = report.render(run)
    parsed = Page(text)
    parsed.source = text
    return parsed


def test_a_deployed_runs_page_has_everything() -> None:
    parsed = page(examples.run())
    sections = ["Verdict", "Learning", "Where it errs", "Forms", "Dataset", "Timeline", "Cost and jobs", "Lineage"]
    assert parsed.headings() == sections
    for phrase in (
        "DEPLOYED",
        "acme / digits",
        "0.9861",
        "champion 0.9722 (version 3), baseline 0.1028",
        "$0.011",
        "expected $0.041",
        "worst case $1.34 of $10.00",
        "9 min 50 s",
        "1,437 train, 179 validation, 359 test",
        "version 4",
        "row 17 'left/broken.png': not an image",
        "5,210 rows/s, measured in run digits-0b1c2d3e4f",
        "digits-1f3a9c2b7d-spot-0-0-0",
        "s3://data/acme/digits/inbox/digits.zip",
        "arn:aws:sagemaker:us-east-1:123456789012:model-package/acme--digits/4",
        "2.4e-07",
        "Train on spot",
    ):
        assert phrase in parsed.text, phrase


def test_every_form_of_the_model_is_told_with_the_reason_why_it_is_served_or_not() -> None:
    text = page(examples.run()).text
    for phrase in (
        "onnx-int8 (chosen)",
        "served: the fastest that is good, the smallest of those as fast",
        "slower than onnx-int8",
        "for devices: not measured here, and not served",
        "99.7 %",
        "0.11 ms",
    ):
        assert phrase in text, phrase


def test_a_page_needs_nothing_else() -> None:
    parsed = page(examples.run())
    for tag, attributes in parsed.tags:
        assert tag not in ("link", "img", "iframe"), tag
        assert "src" not in attributes
        assert not str(attributes.get("href", "")).startswith("http")
    assert "@import" not in parsed.source
    assert "url(" not in parsed.source


def test_every_plot_has_labelled_axes_and_tooltips() -> None:
    parsed = page(examples.run())
    for label in ("epoch", "loss", "accuracy", "predicted class", "true class", "US dollars", "time since the start"):
        assert label in parsed.text
    tips = [attributes["data-tip"] for _, attributes in parsed.tags if "data-tip" in attributes]
    assert "epoch 3: training 0.8038" in tips
    assert "true 4, predicted 5: 1 row (2.78 % of the class)" in tips
    assert any(tip and tip.startswith("Evaluate: 2 min 56 s, ") for tip in tips)


def test_a_model_of_values_shows_predicted_against_true_and_how_far_it_is_off() -> None:
    dataset = dataclasses.replace(
        examples.dataset(),
        task="regression",
        metric="rmse",
        labels={},
        statistics={"mean": 152.1, "std": 77.0},
    )
    run = dataclasses.replace(examples.run(), dataset=dataset.to_dict(), evaluation=examples.regression().to_dict())
    parsed = page(run)
    assert {"Verdict", "Where it errs", "Forms", "Dataset"} <= set(parsed.headings())
    for phrase in (
        "true value",
        "predicted value",
        "9 of 10",
        "131.2",
        "77.1",
        "lower is better",
        "always answering with the training rows' mean",
        "regression, compared by rmse",
    ):
        assert phrase in parsed.text, phrase
    assert "predicted class" not in parsed.text
    tips = [attributes["data-tip"] for _, attributes in parsed.tags if "data-tip" in attributes]
    assert "true 25, predicted 75" in tips


def test_a_failed_runs_page_shows_the_traceback() -> None:
    parsed = page(examples.failed())
    assert parsed.headings()[0] == "What went wrong"
    assert 'ValueError: expected 1 channel, got <3> & "more"' in parsed.text
    assert "Traceback (most recent call last)" in parsed.text
    assert "Train on spot" in parsed.text
    assert "Verdict" not in parsed.headings()


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_run_with_nothing_but_its_reasons_has_a_page(outcome: Outcome) -> None:
    parsed = page(examples.nothing(outcome.value, "train.epochs: 0 is not allowed", states=[]))
    assert "train.epochs: 0 is not allowed" in parsed.text
    assert outcome.replace("_", " ") in parsed.text


def test_a_rejected_datasets_page_shows_what_was_found() -> None:
    found = examples.dataset().to_dict() | {"accepted": False, "outcome": "REJECTED", "rows": {}, "labels": {}}
    parsed = page(examples.nothing("REJECTED", *found["reasons"], dataset=found))
    assert [parsed.text.count(reason) for reason in found["reasons"]] == [1]
    assert "Rejected rows 1" in parsed.text


def test_classes_with_statistics_of_their_own_are_told_as_they_are() -> None:
    features = (Feature(name="f7", kind="category"),)
    dataset = dataclasses.replace(
        examples.dataset(), metric="average_precision", statistics={"rare": 1.0, "share": 0.05}, features=features
    )
    text = page(dataclasses.replace(examples.run(), dataset=dataset.to_dict())).text
    assert "Target" not in text
    assert f"f7 category{f' {words.NOTHING}' * 3}" in text


def hostile() -> Run:
    run = examples.run()
    dataset, evaluation = dict(run.dataset or {}), dict(run.evaluation or {})
    feature = Feature(name=HOSTILE, kind="category", vocabulary=(HOSTILE, "b"), statistics={"missing": 0.5})
    dataset |= {"labels": {HOSTILE: 3}, "reasons": [HOSTILE], "features": [dataclasses.asdict(feature)]}
    dataset |= {"anonymised": {HOSTILE: HOSTILE}}
    evaluation |= {"labels": [HOSTILE, *evaluation["labels"][1:]], "chosen": HOSTILE}
    evaluation["champion"] |= {"note": HOSTILE}
    request = dict(run.request or {})
    request["upload"] = request["upload"] | {"key": HOSTILE}
    return dataclasses.replace(
        run,
        tenant=HOSTILE,
        project=HOSTILE,
        reasons=[HOSTILE],
        dataset=dataset,
        evaluation=evaluation,
        request=request,
        states=[dataclasses.replace(visit, name=HOSTILE, error=HOSTILE) for visit in run.states],
        jobs=[dataclasses.replace(job, failure=HOSTILE) for job in run.jobs],
        failure=Failure(state=HOSTILE, error=HOSTILE, cause=HOSTILE, log=HOSTILE),
    )


def test_hostile_names_stay_text() -> None:
    parsed = page(hostile())
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    assert "img" not in [tag for tag, _ in parsed.tags]
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert "</script><script>alert(1)</script>" in parsed.text
    assert "\x00" not in parsed.source


def test_many_classes_and_features_still_make_a_page() -> None:
    n = 100
    run = examples.run()
    labels = [f"a rather long class name {i}" for i in range(n)]
    matrix = [[40 if i == j else int((i * j) % 17 == 3) for j in range(n)] for i in range(n)]
    evaluation = {**(run.evaluation or {}), "labels": labels, "confusion": matrix}
    feature = {"name": "f", "kind": "number", "statistics": {"mean": 1.0}}
    dataset = {**(run.dataset or {}), "labels": dict.fromkeys(labels, 40), "features_total": 10_000}
    dataset["features"] = [feature | {"name": f"f{i}"} for i in range(n)]
    parsed = page(dataclasses.replace(run, evaluation=evaluation, dataset=dataset, epochs=examples.epochs(1000)))
    assert "the 30 largest of 100" in parsed.text
    assert "85 more features" in parsed.text
    assert "9,900 further features" in parsed.text
    assert len(parsed.source) < 5_000_000


def test_a_loss_that_is_no_number_breaks_no_plot() -> None:
    points = [(1.0, 0.5), (2.0, float("nan")), (3.0, float("inf"))]
    drawn = line_chart([Line(name="training", points=points)], x_label="epoch", y_label="loss", title="Loss")
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert line_chart([Line(name="x", points=points[1:])], x_label="epoch", y_label="loss", title="Loss") == ""


def test_a_class_without_rows_has_an_empty_line() -> None:
    assert "0 % of the class" in confusion(("a", "b"), ((0, 0), (1, 3)), "Confusion matrix")


def test_text_is_escaped_and_markup_is_not() -> None:
    assert el("p", "<b>", el("b", 'a"b'), title='"x"') == '<p title="&quot;x&quot;">&lt;b&gt;<b>a&quot;b</b></p>'
    assert el("i", hidden=True, id=None) == "<i hidden></i>"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.12, "120 ms"), (4.2, "4.2 s"), (60, "1 min"), (200, "3 min 20 s"), (3900, "1 h 05 min"), (59.96, "60 s")],
)
def test_durations_read_as_people_say_them(value: float, said: str) -> None:
    assert words.duration(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "$0.00"), (0.0004, "< $0.001"), (0.0412, "$0.041"), (12.345, "$12.35")]
)
def test_dollars_read_as_people_say_them(value: float, said: str) -> None:
    assert words.usd(value) == said


def test_ticks_are_round() -> None:
    assert words.ticks(0.03, 0.97) == [0.2, 0.4, 0.6, 0.8]
    assert words.ticks(1, 15, 8) == [2, 4, 6, 8, 10, 12, 14]
    assert words.ticks(5, 5) == [5]
