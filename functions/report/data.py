"""The dataset: rows, classes, features, and what was set aside."""

from __future__ import annotations

from contract.manifest import Feature
from contract.reports import DatasetReport
from functions.report import words
from functions.report.charts import Bar, bars
from functions.report.markup import Markup, el, join
from functions.report.tables import code, facts, folded, section, table

SHOWN_LABELS = 30
SHOWN_FEATURES = 15


def dataset(report: DatasetReport | None) -> Markup:
    """Return what preparation found."""
    if report is None:
        return join()
    return section(
        "Dataset",
        _totals(report),
        _set_aside(report),
        el("div", _splits(report), _labels(report), class_="figures"),
        _features(report),
        _anonymised(report),
    )


def _totals(report: DatasetReport) -> Markup:
    return facts(
        [
            ("Accepted", "yes" if report.accepted else "no"),
            ("Learned as", f"{report.task}, compared by {report.metric}" if report.task else ""),
            ("Target", _target(report)),
            ("Replayed rows", words.count(report.replayed) if report.replayed else ""),
            ("Rejected rows", words.count(report.rejected_rows)),
            ("Rows that occur more than once (kept)", words.count(report.duplicate_rows)),
            ("Size", words.size(report.bytes) if report.bytes else ""),
            ("Prepared in", words.duration(report.seconds) if report.seconds else ""),
            ("Fingerprint", code(report.fingerprint) if report.fingerprint else ""),
        ]
    )


def _target(report: DatasetReport) -> str:
    """Return what the values to predict are like; classes have statistics of another kind, or none."""
    if report.task != "regression" or not report.statistics:
        return ""
    found = {name: words.metric(value) for name, value in report.statistics.items()}
    return f"mean {found['mean']}, std {found['std']}"


def _set_aside(report: DatasetReport) -> Markup | None:
    if not report.reasons or not report.accepted:  # why it was rejected stands at the top
        return None
    items = el("ul", [el("li", reason) for reason in report.reasons], class_="reasons")
    return folded("Notes, and rows that were set aside (all are in quarantine)", items, open_=len(report.reasons) <= 5)


def _splits(report: DatasetReport) -> Markup:
    total = sum(report.rows.values()) or 1
    items = [
        Bar(name=split, value=rows, shown=words.count(rows), tip=f"{split}: {words.percent(rows / total)} of the rows")
        for split, rows in report.rows.items()
    ]
    return bars(items, title="Splits", unit="rows")


def _labels(report: DatasetReport) -> Markup:
    total = sum(report.labels.values()) or 1
    shown = sorted(report.labels.items(), key=lambda item: -item[1])[:SHOWN_LABELS]
    items = [
        Bar(name=label, value=rows, shown=words.count(rows), tip=f"{label}: {words.percent(rows / total)} of the rows")
        for label, rows in shown
    ]
    more = f", the {SHOWN_LABELS} largest of {len(report.labels)}" if len(report.labels) > SHOWN_LABELS else ""
    return bars(items, title="Classes", unit=f"rows{more}")


def _features(report: DatasetReport) -> Markup:
    rows = [_feature(feature) for feature in report.features]
    heads, numbers = ("feature", "kind", "missing", "mean", "std"), (2, 3, 4)
    first = table(heads, rows[:SHOWN_FEATURES], numbers=numbers)
    rest = rows[SHOWN_FEATURES:]
    more = folded(f"{len(rest)} more features", table(heads, rest, numbers=numbers)) if rest else None
    hidden = report.features_total - len(report.features)
    note = el("p", f"{words.count(hidden)} further features are in the dataset's schema.json.", class_="note")
    caption = el("figcaption", "Features", el("span", "of the training rows", class_="unit"))
    return el("figure", caption, first, more, note if hidden > 0 else None) if rows else join()


def _feature(feature: Feature) -> tuple[str | Markup, ...]:
    found = feature.statistics
    missing = words.percent(found["missing"]) if "missing" in found else words.NOTHING
    numbers = [f"{found[name]:.4g}" if name in found else words.NOTHING for name in ("mean", "std")]
    return (feature.name, feature.kind, missing, *numbers)


def _anonymised(report: DatasetReport) -> Markup:
    rows = [(column, how) for column, how in report.anonymised.items()]
    if not rows:
        return join()
    return el("figure", el("figcaption", "Personal data"), table(("column", "what was done"), rows))
