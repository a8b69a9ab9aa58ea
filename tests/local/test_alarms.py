"""CloudWatch alarms go off when their metrics say so, and tell EventBridge and their actions."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import metric_math
from local.alarm_rules import Rule, judge
from local.cloud import Cloud
from tests.local import sagemaker as sm
from tests.local.functions import eventually, queue, received


def points(text: str) -> list[float | None]:
    """Read ``- 0 X``, the oldest first as in AWS's table: nothing sent, below, above the threshold."""
    return [{"-": None, "0": 0.0, "X": 2.0}[each] for each in reversed(text.split())]


class TestJudgement:
    @pytest.mark.parametrize(
        ("sent", "missing", "ignore", "breaching", "not_breaching"),
        [
            ("0 - X - X", "OK", "OK", "OK", "OK"),
            ("- - - - 0", "OK", "OK", "OK", "OK"),
            ("- - - - -", "INSUFFICIENT_DATA", "as before", "ALARM", "OK"),
            ("0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
            ("- - X - -", "ALARM", "as before", "ALARM", "OK"),
        ],
    )
    def test_missing_data_counts_as_in_the_table_of_cloudwatchs_user_guide(
        self, sent: str, missing: str, ignore: str, breaching: str, not_breaching: str
    ) -> None:
        wanted = {"missing": missing, "ignore": ignore, "breaching": breaching, "notBreaching": not_breaching}
        for treat, state in wanted.items():
            rule = Rule(comparison="GreaterThanThreshold", threshold=1, periods=3, needed=3, missing=treat)
            assert judge(rule, points(sent), "as before") == state, treat

    @pytest.mark.parametrize(("sent", "state"), [("0 0 X 0 X", "ALARM"), ("X X 0 0 X", "OK"), ("X X 0 X X", "ALARM")])
    def test_two_of_three_datapoints_are_enough_if_the_alarm_says_so(self, sent: str, state: str) -> None:
        rule = Rule(comparison="GreaterThanThreshold", threshold=1, periods=3, needed=2)
        assert judge(rule, points(sent), "OK") == state

    @pytest.mark.parametrize(
        ("comparison", "below", "at", "above"),
        [
            ("GreaterThanThreshold", "OK", "OK", "ALARM"),
            ("GreaterThanOrEqualToThreshold", "OK", "ALARM", "ALARM"),
            ("LessThanThreshold", "ALARM", "OK", "OK"),
            ("LessThanOrEqualToThreshold", "ALARM", "ALARM", "OK"),
        ],
    )
    def test_datapoints_are_compared_with_the_threshold(self, comparison: str, below: str, at: str, above: str) -> None:
        rule = Rule(comparison=comparison, threshold=1, periods=1, needed=1)
        assert [judge(rule, [value], "OK") for value in (0, 1, 2)] == [below, at, above]


class TestMetricMath:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("100 * errors / requests", 25.0),
            ("errors / nothing", None),
            ("errors / (requests - 4)", None),
            ("IF(requests > 3, errors, -1)", 1.0),
            ("FILL(nothing, 0) + SUM([errors, requests, nothing])", 5.0),
            ("MAX([errors, requests]) - ABS(-2)", 2.0),
        ],
    )
    def test_an_expression_has_a_value_or_none(self, text: str, value: float | None) -> None:
        values = {"errors": 1.0, "requests": 4.0, "nothing": None}
        assert metric_math.evaluate(metric_math.parse(text), values) == value

    @pytest.mark.parametrize("text", ["RATE(m1)", "m1 ^ 2", "SELECT AVG(x)", "m1.x", "__import__('os')", "1 < m1 < 2"])
    def test_anything_else_is_not_understood(self, text: str) -> None:
        with pytest.raises(metric_math.NotUnderstood):
            metric_math.parse(text)


def put(cloud: Any, name: str, **more: Any) -> None:
    """Make an alarm on the sum of a metric of its name."""
    request: dict[str, Any] = {
        "Namespace": "Test",
        "MetricName": name,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    cloud.client("cloudwatch").put_metric_alarm(AlarmName=name, **{**request, **more})


def send(cloud: Any, metric: str, value: float, **dimensions: str) -> None:
    data = {"MetricName": metric, "Value": value}
    data["Dimensions"] = [{"Name": name, "Value": text} for name, text in dimensions.items()]
    cloud.client("cloudwatch").put_metric_data(Namespace="Test", MetricData=[data])


def state(cloud: Any, name: str) -> str:
    return str(described(cloud, name)["StateValue"])


def described(cloud: Any, name: str) -> dict[str, Any]:
    alarm: dict[str, Any] = cloud.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    return alarm


class TestAlarms:
    def test_an_alarm_goes_off_recovers_and_tells_of_both(self, cloud: Cloud) -> None:
        name, (url, arn) = sm.unique("alarm"), queue(cloud)
        pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": [name], "state": {"value": ["ALARM"]}}}
        cloud.client("events").put_rule(Name=name, EventPattern=json.dumps(pattern))
        cloud.client("events").put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        put(cloud, name)
        assert eventually(lambda: state(cloud, name) == "OK")
        send(cloud, name, 6)
        assert eventually(lambda: state(cloud, name) == "ALARM")
        assert "1 out of the last 1 datapoints [6] was greater than the threshold (5)" in str(
            described(cloud, name)["StateReason"]
        )
        assert eventually(lambda: state(cloud, name) == "OK")  # a minute later nothing was sent any more
        event = json.loads(received(cloud, url)["Body"])
        assert event["detail-type"] == "CloudWatch Alarm State Change"
        assert event["detail"]["previousState"]["value"] == "OK"
        assert event["detail"]["configuration"]["metrics"][0]["metricStat"]["metric"]["name"] == name

    def test_its_action_is_a_message_to_a_topic(self, cloud: Cloud) -> None:
        name, (url, arn) = sm.unique("alarm"), queue(cloud)
        topic = cloud.client("sns").create_topic(Name=name)["TopicArn"]
        cloud.client("sns").subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
        )
        put(cloud, name, AlarmActions=[topic])
        cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
        message = json.loads(received(cloud, url)["Body"])
        assert (message["AlarmName"], message["NewStateValue"], message["NewStateReason"]) == (name, "ALARM", "a test")

    def test_a_ratio_of_two_metrics_and_a_percentile_go_off(self, cloud: Cloud) -> None:
        ratio, slow = sm.unique("ratio"), sm.unique("slow")

        def stat(name: str, metric: str) -> dict[str, Any]:
            return {
                "Id": name,
                "ReturnData": False,
                "MetricStat": {"Metric": {"Namespace": "Test", "MetricName": metric}, "Period": 60, "Stat": "Sum"},
            }

        queries = [stat("e", f"{ratio}-e"), stat("r", f"{ratio}-r"), {"Id": "share", "Expression": "100 * e / r"}]
        for name in (f"{ratio}-e", *[f"{ratio}-r"] * 4):
            send(cloud, name, 1)
        for value in range(100):
            send(cloud, slow, value)
        cloud.client("cloudwatch").put_metric_alarm(
            AlarmName=ratio,
            Metrics=queries,
            EvaluationPeriods=1,
            Threshold=24,
            ComparisonOperator="GreaterThanThreshold",
        )
        cloud.client("cloudwatch").put_metric_alarm(
            AlarmName=slow,
            Namespace="Test",
            MetricName=slow,
            ExtendedStatistic="p99",
            Period=600,
            EvaluationPeriods=1,
            Threshold=98,
            ComparisonOperator="GreaterThanThreshold",
        )
        assert eventually(lambda: state(cloud, ratio) == "ALARM")
        assert eventually(lambda: state(cloud, slow) == "ALARM")

    @pytest.mark.parametrize(
        ("request_", "what"),
        [
            ({"Statistic": None, "ExtendedStatistic": "pr(0:1)"}, "pr"),
            ({"Metrics": [{"Id": "a", "Expression": "RATE(b)"}]}, "RATE"),
            ({"Metrics": [{"Id": "a", "Expression": "1 / b"}]}, "names b, which is not there"),
            ({"Statistic": "Sum", "ThresholdMetricId": "band"}, "an anomaly detection band"),
        ],
        ids=["statistic", "function", "unknown id", "anomaly detection"],
    )
    def test_what_could_never_be_evaluated_is_refused(self, cloud: Cloud, request_: dict[str, Any], what: str) -> None:
        own = {"AlarmName": "x", "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
        metric = {} if "Metrics" in request_ else {"Namespace": "Test", "MetricName": "m", "Period": 60}
        given = {key: value for key, value in {**own, **metric, **request_}.items() if value is not None}
        with pytest.raises(ClientError, match=what):
            cloud.client("cloudwatch").put_metric_alarm(**given)
        assert cloud.client("cloudwatch").describe_alarms(AlarmNames=["x"])["MetricAlarms"] == []


class TestStatistics:
    def test_metrics_with_more_dimensions_are_others(self, cloud: Cloud) -> None:
        assert self.sums(cloud) == [1.0]

    def test_vanilla_moto_adds_them_up(self, vanilla: Any) -> None:
        assert self.sums(vanilla) == [11.0]

    def test_percentiles_are_known(self, cloud: Cloud, vanilla: Any) -> None:
        cloud.client("s3").create_bucket(Bucket=sm.unique("metrics"))  # buckets have metrics, too
        for each in (cloud, vanilla):
            for value in range(11):
                send(each, "percentiles", value)
        assert self.p90(cloud) == [9.0]
        with pytest.raises(ClientError):
            self.p90(vanilla)

    def sums(self, cloud: Any) -> list[float]:
        metric = sm.unique("m")
        send(cloud, metric, 1, a="1")
        send(cloud, metric, 10, a="1", b="2")
        found = cloud.client("cloudwatch").get_metric_statistics(
            Namespace="Test",
            MetricName=metric,
            Dimensions=[{"Name": "a", "Value": "1"}],
            StartTime=time.time() - 600,
            EndTime=time.time() + 600,
            Period=3600,
            Statistics=["Sum"],
        )
        return [each["Sum"] for each in found["Datapoints"]]

    def p90(self, cloud: Any) -> list[float]:
        metric = {"Namespace": "Test", "MetricName": "percentiles"}
        query = {"Id": "p", "MetricStat": {"Metric": metric, "Period": 3600, "Stat": "p90"}}
        found = cloud.client("cloudwatch").get_metric_data(
            MetricDataQueries=[query], StartTime=time.time() - 600, EndTime=time.time() + 600
        )
        return list(found["MetricDataResults"][0]["Values"])


def test_vanilla_motos_alarms_never_go_off(vanilla: Any) -> None:
    put(vanilla, "never")
    send(vanilla, "never", 6)
    time.sleep(0.5)
    assert state(vanilla, "never") == "OK"
