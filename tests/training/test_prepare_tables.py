"""CSV and Parquet uploads, good and bad."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from contract import keys
from contract.manifest import Schema
from contract.reports import MAX_FEATURES, MAX_REASONS
from tests.training.builders import SALT, csv, run_prepare
from training.data import Split, read_schema
from training.privacy import PreparationFailed


def quarantined(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / keys.QUARANTINE / "rows.jsonl").read_text().splitlines()]


def rows_of(out: Path) -> dict[int, dict[str, Any]]:
    """Return every prepared row by its number in the upload."""
    found = {}
    for split in keys.SPLITS:
        arrays = Split(out / keys.DATASET / split).everything()
        for index, number in enumerate(arrays["row"].tolist()):
            found[number] = {"split": split, **{name: array[index] for name, array in arrays.items()}}
    return found


def schema_of(out: Path) -> Schema:
    return read_schema(out / keys.DATASET)


def test_a_table_becomes_typed_split_rows(tmp_path: Path) -> None:
    report, out = run_prepare(tmp_path / "a", {"rows.csv": csv()})
    assert report.accepted
    assert report.outcome is None
    assert sum(report.rows.values()) == 240
    assert report.rejected_rows == 0
    assert [(f.name, f.kind) for f in report.features] == [
        ("income", "number"),
        ("age", "number"),
        ("region", "category"),
    ]
    schema, rows = schema_of(out), rows_of(out)
    assert schema.labels == ("high", "low")
    assert [(t.name, t.dtype, t.shape) for t in schema.inputs] == [
        ("numeric", "float32", (-1, 2)),
        ("category", "int64", (-1, 1)),
    ]
    vocabulary = schema.features[2].vocabulary
    for number, line in enumerate(csv().splitlines()[1:]):
        income, age, region, risk = line.split(",")
        row = rows[number]
        np.testing.assert_array_equal(row["numeric"], np.array([income, age], np.float32))
        assert (vocabulary[row["category"][0] - 1] if row["category"][0] else "") == region
        assert schema.labels[row["label"]] == risk


def test_statistics_and_vocabularies_are_of_the_training_rows_alone(tmp_path: Path) -> None:
    _, out = run_prepare(tmp_path / "a", {"rows.csv": csv()})
    train = Split(out / keys.DATASET / "train").everything()
    income, _, region = schema_of(out).features
    values = train["numeric"][:, 0].astype(np.float64)
    assert income.statistics["mean"] == pytest.approx(values.mean(), abs=1e-6)
    assert income.statistics["std"] == pytest.approx(values.std(), abs=1e-6)
    assert (income.statistics["min"], income.statistics["max"]) == pytest.approx((values.min(), values.max()), abs=1e-6)
    assert region.statistics["missing"] == pytest.approx((train["category"] == 0).mean())


def test_a_row_never_moves_between_splits_whatever_else_is_uploaded(tmp_path: Path) -> None:
    lines = csv(300).splitlines()
    _, first = run_prepare(tmp_path / "a", {"rows.csv": "\n".join(lines)})
    shuffled = [lines[0], *random.Random(1).sample(lines[1:], 250), *csv(100, seed=5).splitlines()[1:]]
    _, second = run_prepare(tmp_path / "b", {"rows.csv": "\n".join(shuffled)})
    before = {lines[number + 1]: row["split"] for number, row in rows_of(first).items()}
    after = {shuffled[number + 1]: row["split"] for number, row in rows_of(second).items()}
    both = before.keys() & after.keys()
    assert len(both) == 250
    assert all(before[line] == after[line] for line in both)


def test_a_row_stays_when_its_numbers_are_written_in_another_way(tmp_path: Path) -> None:
    lines = [f"{n % 50},{n // 3},{'high' if n % 2 else 'low'}" for n in range(300)]
    others = [f"{n % 50}.0,{n // 3:.1e},{'high' if n % 2 else 'low'}" for n in range(300)]
    splits = []
    for rows in (lines, others):
        _, out = run_prepare(tmp_path / "a", {"rows.csv": "\n".join(["income,age,risk", *rows])})
        splits.append({number: row["split"] for number, row in rows_of(out).items()})
    same = [n for n in range(300) if float(f"{n // 3:.1e}") == n // 3]
    assert len(same) > 250
    assert [splits[0][n] for n in same] == [splits[1][n] for n in same]


def test_more_classes_than_can_be_learned_are_rejected_at_once(tmp_path: Path) -> None:
    text = "income,risk\n" + "".join(f"{n % 7},no {n / 8}\n" for n in range(2000))
    report, _ = run_prepare(tmp_path / "a", {"rows.csv": text})
    assert "'risk' has more than 1,000 classes" in report.reasons[0]


def test_duplicates_stay_together_and_are_counted(tmp_path: Path) -> None:
    lines = csv(120).splitlines()
    report, out = run_prepare(tmp_path / "a", {"rows.csv": "\n".join([*lines, *lines[1:]])})
    rows = rows_of(out)
    assert report.duplicate_rows == 120
    assert all(rows[number]["split"] == rows[number + 120]["split"] for number in range(120))


def test_the_fingerprint_is_of_the_rows_not_of_the_shards(tmp_path: Path) -> None:
    one, _ = run_prepare(tmp_path / "a", {"rows.csv": csv()})
    two, _ = run_prepare(tmp_path / "b", {"rows.csv": csv()}, {"prepare": {"shard_mb": 1}})
    other, _ = run_prepare(tmp_path / "c", {"rows.csv": csv(seed=1)})
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert len(one.fingerprint) == 64


def test_bad_rows_go_to_quarantine_with_reasons_and_originals(tmp_path: Path) -> None:
    bad = ["1,2,3", "1,2,north,low,9", 'a"b,50,north,"low', "abc,50,north,low", "1e999,50,north,low", "1,50,north,"]
    text = csv(400) + "\n".join(bad[:2] + bad[3:] + [bad[2]]) + "\n"
    report, out = run_prepare(tmp_path / "a", {"rows.csv": text})
    assert report.accepted
    assert report.rejected_rows == len(bad)
    assert sum(report.rows.values()) == 400
    kept = {line["row"]: line for line in quarantined(out)}
    assert "3 values for 4 columns" in kept[401]["reason"]
    assert "5 values for 4 columns" in kept[402]["reason"]
    assert "'abc' in column 'income' is no number" in kept[403]["reason"]
    assert "'1e999'" in kept[404]["reason"]
    assert "no value in the column 'risk'" in kept[405]["reason"]
    assert "cannot be read" in kept[406]["reason"]
    assert kept[403]["raw"] == "abc,50,north,low"
    assert kept[406]["raw"].startswith('a"b')
    assert any(reason.startswith("rows.csv, row 401: ") for reason in report.reasons)


def test_too_many_bad_rows_reject_the_dataset_with_the_first_reasons(tmp_path: Path) -> None:
    report, out = run_prepare(tmp_path / "a", {"rows.csv": csv(200) + "1,2\n" * 100})
    assert (report.accepted, report.outcome) == (False, "REJECTED")
    assert "100 of 300 rows are bad (33.3%)" in report.reasons[0]
    assert "allows 5.0%" in report.reasons[0]
    assert len(report.reasons) == MAX_REASONS
    assert "more; all are in quarantine/rows.jsonl" in report.reasons[-1]
    assert len(quarantined(out)) == 100
    assert not (out / keys.DATASET).exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty (0 bytes)"),
        (b"\n\n", "no header"),
        (b"income,age,region,risk\n", "no good row"),
        (csv().replace("risk", "rsik").encode(), "Did you mean 'rsik'?"),
        (b"income,risk\n" + b"1.0,low\n2.0,low\n" * 60, "only one class ('low')"),
        (b"a,b,risk\n" + b",,low\n,,high\n" * 60, "every value of every column but the target is missing"),
        (b"risk\nlow\nhigh\n" * 30, "no column to learn from"),
        (b"a,a,risk\n1,2,low\n", "'a' (2 times)"),
        (b"a,,risk\n1,2,low\n", "columns 2 have no name"),
        (b"PK\x03\x04 a zip", "is not a text file"),
        (b"\x00\x01\x02,risk\n", "is not a text file"),
        ("größe,risk\n1,low\n".encode("latin-1"), "save the file as UTF-8"),
        (b"a,risk\n" + b"".join(b"%d,no %d\n" % (n, n) for n in range(90)), "90 classes have fewer than 5 good rows"),
        (b"a,risk\n1,low\n2,high\n3,low\n4,high\n", "at least 10 are needed"),
    ],
)
def test_a_hopeless_table_is_rejected_with_the_reason(tmp_path: Path, content: bytes, says: str) -> None:
    report, _ = run_prepare(tmp_path / "a", {"rows.csv": content})
    assert (report.accepted, report.outcome) == (False, "REJECTED")
    assert says in " | ".join(report.reasons)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_byte_order_marks_and_other_delimiters_change_nothing(tmp_path: Path, encoding: str, delimiter: str) -> None:
    plain, _ = run_prepare(tmp_path / "a", {"rows.csv": csv(100)})
    other, _ = run_prepare(tmp_path / "b", {"rows.csv": csv(100).replace(",", delimiter).encode(encoding)})
    assert other.fingerprint == plain.fingerprint


def test_rows_that_are_not_utf8_are_set_aside_and_can_be_repaired(tmp_path: Path) -> None:
    content = csv(200).encode() + "1.0,50,Zürich,low\n".encode("latin-1")
    report, out = run_prepare(tmp_path / "a", {"rows.csv": content})
    assert report.accepted
    (line,) = quarantined(out)
    assert "not UTF-8 in column 'region'" in line["reason"]
    assert line["raw"].encode(errors="surrogateescape") == "1.0,50,Zürich,low".encode("latin-1")


def test_unicode_quotes_and_line_breaks_in_names_and_values_survive(tmp_path: Path) -> None:
    text = csv().replace("income", '"in""come, €\n📈"').replace("north", '"nørth ""1"", x"')
    report, out = run_prepare(tmp_path / "a", {"rows.csv": text})
    assert report.accepted, report.reasons
    assert report.features[0].name == 'in"come, €\n📈'
    assert 'nørth "1", x' in schema_of(out).features[2].vocabulary


def test_what_programs_write_for_missing_is_missing(tmp_path: Path) -> None:
    marks = ["NA", "NaN", "null", "n/a", "?", " "]
    lines = csv(200).splitlines()
    changed = [f"{marks[n % 6]},{line.split(',', 1)[1]}" if n % 9 == 0 else line for n, line in enumerate(lines[1:])]
    report, out = run_prepare(tmp_path / "a", {"rows.csv": "\n".join([lines[0], *changed])})
    assert report.features[0].kind == "number"
    assert report.rejected_rows == 0
    rows = rows_of(out)
    assert all(np.isnan(rows[number]["numeric"][0]) == (number % 9 == 0) for number in range(200))


def test_columns_that_teach_nothing_are_left_out_and_named(tmp_path: Path) -> None:
    lines = csv(200).splitlines()
    text = "\n".join([f"id,void,{lines[0]}", *(f"user-{n},,{line}" for n, line in enumerate(lines[1:]))])
    report, out = run_prepare(tmp_path / "a", {"rows.csv": text})
    assert report.accepted
    assert [feature.name for feature in schema_of(out).features] == ["income", "age", "region"]
    assert "column 'void' is left out: it has no value" in report.reasons
    assert any(reason.startswith("column 'id' is left out") for reason in report.reasons)


def test_ten_thousand_columns_work(tmp_path: Path) -> None:
    source = random.Random(0)
    lines = [",".join([*(f"c{i}" for i in range(10_000)), "risk"])]
    for _ in range(60):
        values = [source.gauss(0, 1) for _ in range(10_000)]
        lines.append(",".join([*(f"{value:.1f}" for value in values), "high" if values[0] > 0 else "low"]))
    report, out = run_prepare(tmp_path / "a", {"rows.csv": "\n".join(lines)})
    assert report.accepted, report.reasons
    assert report.features_total == 10_000
    assert len(report.features) == MAX_FEATURES
    assert schema_of(out).inputs[0].shape == (-1, 10_000)


def test_files_of_a_batch_are_one_table_whatever_the_order_of_columns(tmp_path: Path) -> None:
    lines = csv(200).splitlines()
    turned = [",".join(reversed(line.split(","))) for line in [lines[0], *lines[101:]]]
    whole, _ = run_prepare(tmp_path / "a", {"rows.csv": "\n".join(lines)})
    batch, out = run_prepare(tmp_path / "b", {"a.csv": "\n".join(lines[:101]), "b.csv": "\n".join(turned)})
    assert batch.fingerprint == whole.fingerprint
    assert sorted(rows_of(out)) == list(range(200))


def test_files_with_other_columns_are_rejected_with_the_difference(tmp_path: Path) -> None:
    report, _ = run_prepare(
        tmp_path / "a", {"a.csv": csv(50), "b.csv": csv(50).replace("income", "incom"), "c.csv": "x,risk\n1,low\n"}
    )
    assert not report.accepted
    assert "b.csv: its columns differ from a.csv's: lacks 'income' and adds 'incom'" in report.reasons[0]
    assert "c.csv" in report.reasons[1]


def test_a_file_of_another_kind_is_rejected_by_name(tmp_path: Path) -> None:
    report, _ = run_prepare(tmp_path / "a", {"rows.csv": csv(50), "notes.txt": "hello"})
    assert report.reasons == ("notes.txt is none of the files this recipe reads: .csv, .parquet",)


def parquet(folder: Path, select: str) -> bytes:
    (folder / "source.csv").write_text(csv(200))
    path = folder / "rows.parquet"
    duckdb.sql(f"COPY (SELECT {select} FROM '{folder}/source.csv') TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


def test_parquet_gives_the_same_rows_as_csv(tmp_path: Path) -> None:
    from_csv, _ = run_prepare(tmp_path / "a", {"rows.csv": csv(200)})
    content = parquet(tmp_path, "income, age, region, risk")
    report, out = run_prepare(tmp_path / "b", {"rows.parquet": content})
    assert report.accepted, report.reasons
    assert report.labels == from_csv.labels
    assert [feature.kind for feature in schema_of(out).features] == ["number", "number", "category"]


def test_parquet_text_stays_text_and_odd_names_work(tmp_path: Path) -> None:
    content = parquet(
        tmp_path, 'CAST(CAST(age AS INT) % 5 AS VARCHAR) AS "zip \'co""de", income > 0 AS flag, income, risk'
    )
    report, _ = run_prepare(tmp_path / "b", {"rows.parquet": content})
    assert report.accepted, report.reasons
    kinds = {feature.name: feature.kind for feature in report.features}
    assert kinds == {"zip 'co\"de": "category", "flag": "category", "income": "number"}


def test_nested_and_broken_parquet_is_rejected(tmp_path: Path) -> None:
    nested, _ = run_prepare(tmp_path / "a", {"rows.parquet": parquet(tmp_path, "[income, age] AS pair, risk")})
    assert "'pair'" in nested.reasons[0]
    broken, _ = run_prepare(tmp_path / "b", {"rows.parquet": b"PAR1 no"})
    assert "cannot be read as Parquet" in broken.reasons[0]


PRIVATE: Mapping[str, Any] = {"privacy": {"drop": ["name"], "hash": ["region"], "generalise": {"age": 10}}}


def private_csv() -> str:
    lines = csv(200).splitlines()
    return "\n".join([f"name,{lines[0]}", *(f"Person {n % 50},{line}" for n, line in enumerate(lines[1:]))])


def test_personal_columns_are_dropped_hashed_and_generalised(tmp_path: Path) -> None:
    report, out = run_prepare(tmp_path / "a", {"rows.csv": private_csv()}, PRIVATE)
    assert report.accepted, report.reasons
    assert report.anonymised == {
        "name": "dropped",
        "region": "hashed with the tenant's salt",
        "age": "rounded down to a multiple of 10",
    }
    features = {feature.name: feature for feature in schema_of(out).features}
    assert "name" not in features
    expected = {hmac.new(SALT, word.encode(), hashlib.sha256).hexdigest()[:32] for word in ("north", "south", "east")}
    assert set(features["region"].vocabulary) == expected
    ages = Split(out / keys.DATASET / "train").everything()["numeric"][:, 1]
    assert set(ages.tolist()) <= {float(age) for age in range(10, 100, 10)}
    everything = b"".join(path.read_bytes() for path in (out / keys.DATASET).rglob("*") if path.is_file())
    assert b"Person" not in everything
    assert b"north" not in everything


def test_another_tenants_salt_gives_other_hashes(tmp_path: Path) -> None:
    _, one = run_prepare(tmp_path / "a", {"rows.csv": private_csv()}, PRIVATE)
    _, two = run_prepare(tmp_path / "b", {"rows.csv": private_csv()}, PRIVATE, salt=b"another salt")
    words = [{word for f in schema_of(out).features for word in f.vocabulary} for out in (one, two)]
    assert not words[0] & words[1]


def test_a_mistake_of_ours_does_not_tell_what_it_stumbled_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbles(cells: Sequence[str]) -> None:
        raise KeyError(cells[0])

    monkeypatch.setattr("training.table.to_numbers", stumbles)
    with pytest.raises(PreparationFailed, match="KeyError") as raised:
        run_prepare(tmp_path / "a", {"rows.csv": csv()})
    told = "".join(traceback.format_exception(raised.value))
    assert "in stumbles" in told
    assert csv().splitlines()[1].split(",")[0] not in told


def test_reasons_never_quote_a_value(tmp_path: Path) -> None:
    text = private_csv() + "\nSecret Name,1.0,unknown age,north,low\n"
    report, out = run_prepare(tmp_path / "a", {"rows.csv": text}, PRIVATE)
    (line,) = quarantined(out)
    assert "'age' is no number" in line["reason"]
    assert "unknown age" not in " ".join(report.reasons)
    report, _ = run_prepare(tmp_path / "b", {"rows.csv": csv(400) + "forty,50,north,low\n"})
    assert report.reasons == ("rows.csv, row 401: a value in column 'income' is no number, or too large a one",)
    assert "Secret Name" in line["raw"]  # the quarantine keeps the original


def test_privacy_of_an_unknown_column_is_rejected_with_the_nearest(tmp_path: Path) -> None:
    report, _ = run_prepare(tmp_path / "a", {"rows.csv": csv()}, {"privacy": {"hash": ["regoin"]}})
    assert report.reasons == ("privacy.hash names 'regoin', which is no column of the upload. Did you mean 'region'?",)


def test_the_report_stays_small_enough_for_the_state_machine(tmp_path: Path) -> None:
    source = random.Random(0)
    words = ["".join(source.choices("abcdefgh ", k=300)) for _ in range(60)]
    columns = [f"{'x' * 2000}{number}" for number in range(150)]
    lines = [",".join([*columns, "risk"])]
    lines += [",".join([*source.choices(words, k=150), source.choice(["low", "high"])]) for _ in range(300)]
    report, out = run_prepare(tmp_path / "a", {"rows.csv": "\n".join([*lines, "bad," * 3000])})
    assert report.accepted, report.reasons
    assert (out / keys.DATASET_REPORT).stat().st_size < 200_000
    assert len(schema_of(out).features[0].name) > 2000


def test_every_row_is_accepted_or_in_quarantine(tmp_path: Path) -> None:
    source = random.Random(7)
    odd = ["", "x", "a,b,c", "1e99", "NaN", "é", "=1+1", '"1,5"', '"""x"""', "\t", "0", "-3.5", "9" * 50, "\x1f"]
    for number in range(30):
        lines = csv(100, seed=number).splitlines()
        for row in source.sample(range(1, 101), source.randrange(1, 30)):
            cells = lines[row].split(",")
            cells[source.randrange(3)] = source.choice(odd)
            lines[row] = ",".join(cells[: source.randrange(3, 5)])
        settings = {"prepare": {"max_rejected_fraction": 1.0}}
        report, out = run_prepare(tmp_path / "a", {"rows.csv": "\n".join(lines) + "\n"}, settings)
        assert report.accepted, report.reasons
        bad = {line["row"]: line for line in (quarantined(out) if report.rejected_rows else [])}
        good = np.concatenate([Split(out / keys.DATASET / split).everything()["row"] for split in keys.SPLITS]) + 1
        assert sorted([*bad, *good.tolist()]) == list(range(1, 101))
        assert report.rejected_rows == len(bad)
        assert all(line["reason"] and line["raw"] == lines[row] for row, line in bad.items())


def test_an_unclosed_quote_takes_no_other_row_with_it(tmp_path: Path) -> None:
    lines = csv(200).splitlines()
    lines[100] = lines[100].replace(",", ',"', 1)
    report, out = run_prepare(tmp_path / "a", {"rows.csv": "\n".join(lines)})
    (line,) = quarantined(out)
    assert (line["row"], line["raw"]) == (100, lines[100])
    assert "is a quote missing?" in line["reason"]
    assert sum(report.rows.values()) == 199


@pytest.mark.parametrize("content", [csv(60).encode("utf-16")[:-1], csv(60).encode("utf-16") + b"\x00\xd8\n\x00"])
def test_broken_utf16_is_rejected(tmp_path: Path, content: bytes) -> None:
    report, _ = run_prepare(tmp_path / "a", {"rows.csv": content})
    assert not report.accepted
    assert "save the file as UTF-8" in report.reasons[0]


def test_classes_that_are_absurdly_long_numbers_are_text(tmp_path: Path) -> None:
    report, _ = run_prepare(tmp_path / "a", {"rows.csv": csv(100).replace("high", "9" * 5000)})
    assert report.accepted


def test_numbers_with_commas_are_noted(tmp_path: Path) -> None:
    lines = [f"{n % 7},{n % 9};{n % 30};{'high' if n % 2 else 'low'}" for n in range(200)]
    report, _ = run_prepare(tmp_path / "a", {"rows.csv": "\n".join(["income;age;risk", *lines])})
    assert report.accepted
    assert "column 'income' is learned as a category, because its numbers have commas" in report.reasons[0]


def test_text_with_commas_is_no_number(tmp_path: Path) -> None:
    report, _ = run_prepare(tmp_path / "a", {"rows.csv": csv(200).replace("north", '"north, 1"')})
    assert report.reasons == ()
