"""An interrupted cut is continued at its checkpoint: every record once, in order, whatever was interrupted where."""

import csv
import gzip
import io
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import settings
from pipeline.deployment import Deployment
from pipeline.formats import text
from pipeline.tabular.reader import Reader, State
from preprocessing import cut_job
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function
from tests.functions.test_preprocess import argument

ROOT = Path(__file__).parents[3]
CODECS = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "cp932", "gb18030", "iso2022_jp", "big5hkscs"]


def table(rows: int, seed: int = 0) -> str:
    """A CSV with quoted line breaks, stray quotes and rows of very different lengths."""
    chance = random.Random(seed)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=chance.choice(["\n", "\r\n"]))
    writer.writerow(["id", "review"])
    for number in range(rows):
        review = f"The plot of film {number} is fine" + chance.choice(["", '\nand "so" on', ", they say", " word" * 90])
        writer.writerow([number, review])
    return out.getvalue()


def json_lines(rows: int) -> str:
    return "".join(json.dumps({"id": number, "text": f"Film {number} is finé"}) + "\n" for number in range(rows))


def shards(cloud: Cloud, job: str, count: int) -> list[list[dict[str, Any]]]:
    blobs = (cloud.work.blob(f"shards/{job}/{shard}.jsonl") for shard in range(count))
    return [[json.loads(line) for line in blob.download_as_bytes().splitlines()] for blob in blobs]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_read_from_any_position(codec: str, packed: bool) -> None:
    content = "".join(f"{number} 映画\r\n" if number % 3 else f"{number}\n" for number in range(3000))
    if codec == "cp1252":
        content = content.replace("映画", "schön")
    data = content.encode(codec)

    def opened() -> text.Lines:
        if packed:
            from pipeline.formats.compression import Unpacked

            return text.Lines(io.BufferedReader(Unpacked(io.BytesIO(gzip.compress(data)), 1 << 30)), codec, 40)
        return text.Lines(io.BytesIO(data), codec, 40)

    lines, positions, expected = opened(), [], []
    for line in lines:
        expected.append(line)
        positions.append(lines.position)
    assert "".join(expected) == content
    for index in (0, 1, 700, 1111, 2998, 2999):
        again = opened()
        again.seek(positions[index])
        assert list(again) == expected[index + 1 :]


def test_a_line_beyond_the_limit_is_left_behind_as_a_whole() -> None:
    lines = text.Lines(io.BytesIO(b"a\n" + b"x" * 1000 + b"\nb\n"), "utf-8", 10)
    assert [next(lines), next(lines)] == ["a\n", "x" * 11]
    again = text.Lines(io.BytesIO(b"a\n" + b"x" * 1000 + b"\nb\n"), "utf-8", 10)
    again.seek(lines.position)
    assert list(again) == ["b\n"]


ROWS = st.lists(st.sampled_from(["a,b", '"a', 'b"', "#c,d", "", 'e,"f\rg"', '"h""i",j', '\t"k', "l\tm", "sep=,"]))


@given(rows=ROWS, delimiter=st.sampled_from([",", "\t"]))
def test_rows_are_read_from_any_state(rows: list[str], delimiter: str) -> None:
    content = "\n".join(rows)

    def opened() -> Iterator[str]:
        return iter(io.StringIO(content, newline="\n").readlines())

    taken = 0

    def counted() -> Iterator[str]:
        nonlocal taken
        for line in opened():
            taken += 1
            yield line

    def plain(record: Any) -> Any:
        return record.cells, record.marked, record.refusal and record.refusal.message

    reader = Reader(counted(), delimiter)
    expected, states = [], []
    for record in reader:
        expected.append(plain(record))
        states.append((taken, json.dumps(reader.state)))
    for index, (lines, state) in enumerate(states):
        rest = opened()
        for _ in range(lines):
            next(rest)
        again = Reader(rest, delimiter, State(*json.loads(state)))
        assert [plain(record) for record in again] == expected[index + 1 :]


@pytest.fixture
def expected(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The batch and the shards of an attempt that nothing interrupts."""

    def cut(name: str, data: bytes, kind: str) -> Any:
        monkeypatch.setenv("RECORDS_PER_SHARD", "7")
        whole = argument(cloud, name, data, kind)
        batch = function("preprocess").post("/", json=whole).get_json()
        return batch, shards(cloud, whole["job"], batch["shards"])

    return cut


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.csv", table(400).encode(), "table"),
        ("a.csv", table(400).encode("utf-16"), "table"),
        ("a.csv.gz", gzip.compress(table(400).encode()), "table"),
        ("a.jsonl", json_lines(400).encode(), "records"),
    ],
    ids=["csv", "utf-16", "gzip", "jsonl"],
)
def test_an_interrupted_cut_reads_on_from_its_checkpoint(
    cloud: Cloud, function: Function, expected: Callable[..., Any], name: str, data: bytes, kind: str
) -> None:
    batch, whole = expected(name, data, kind)
    arg = argument(cloud, f"again/{name}", data, kind)
    folder = f"shards/{arg['job']}"
    for last in (40, 55):
        cloud.fault("POST", folder, f"{last}.jsonl", status=403)
        assert function("preprocess").post("/", json=arg).status_code == 503
    assert json.loads(cloud.work.blob(f"{folder}/checkpoint.json").download_as_bytes())["shards"] == 48
    cloud.faulty.requests.clear()
    again = function("preprocess").post("/", json=arg).get_json()
    assert again == batch | {"prefix": again["prefix"]}
    written = [target for method, target in cloud.faulty.requests if method == "POST" and f"{folder}/" in target]
    assert not any(f"{folder}/47.jsonl" in target for target in written)
    assert any(f"{folder}/48.jsonl" in target for target in written)
    assert shards(cloud, arg["job"], again["shards"]) == whole


def test_an_input_that_ends_before_its_size_is_not_a_shorter_batch(cloud: Cloud, function: Function) -> None:
    arg = argument(cloud, "a.csv", table(20_000), "table")
    cloud.fault("GET", "a.csv", "alt=media", status=416, times=1).matches = _after_the_first(cloud.input.name)
    response = function("preprocess").post("/", json=arg)
    assert (response.status_code, response.get_json()["error"]["code"]) == (503, "unavailable")


def _after_the_first(bucket: str) -> Callable[[str, str], bool]:
    count = 0

    def matches(method: str, target: str) -> bool:
        nonlocal count
        count += method == "GET" and bucket in target and "alt=media" in target
        return count == 2

    return matches


def test_an_input_that_is_replaced_while_it_is_cut_is_gone(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.objects.CHUNK_BYTES", 256 << 10)
    arg = argument(cloud, "a.csv", table(20_000), "table")
    monkeypatch.setenv("RECORDS_PER_SHARD", "100")

    begun, replaced = threading.Event(), threading.Event()

    def replace() -> None:
        begun.wait()
        cloud.input.blob("a.csv").upload_from_string("id,review\n1,Another film that I liked\n")
        replaced.set()

    def matches(method: str, target: str) -> bool:
        is_shard = method == "POST" and "/20.jsonl" in target
        begun.set() if is_shard else None
        return is_shard and not replaced.is_set()

    cloud.fault("POST", times=100).matches = matches
    threading.Thread(target=replace).start()
    response = function("preprocess").post("/", json=arg)
    assert (response.status_code, response.get_json()["error"]["code"]) == (422, "input_gone")
    assert not cloud.work.blob(f"shards/{arg['job']}/index.json").exists()


@pytest.mark.parametrize("told", [0, 10, 10**15])
def test_an_input_counts_by_its_true_size(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch, told: int
) -> None:
    arg = argument(cloud, "a.csv", table(2000), "table")
    arg["input"]["size"] = told
    batch = function("preprocess").post("/", json=arg).get_json()
    assert batch["records"] == 2000
    monkeypatch.setenv("MAX_TABLE_BYTES", "1000")
    arg = argument(cloud, "b.csv", table(2000), "table")
    arg["input"]["size"] = told
    response = function("preprocess").post("/", json=arg)
    assert response.get_json()["error"]["code"] == "too_large"


def test_records_far_shorter_than_the_first_ones_do_not_make_too_many_shards(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preprocessing.shards.MAX_SHARDS", 5)
    monkeypatch.setattr("preprocessing.shards.LARGE_BYTES", 1 << 20)
    monkeypatch.setenv("SHARD_SECONDS", "0.001")
    long = "".join(f'{number},"A film that I liked{" a lot" * 300}"\n' for number in range(500))
    short = "".join(f"{number},Fine\n" for number in range(100_000))
    arg = argument(cloud, "a.csv", "id,review\n" + long + short, "table")
    batch = function("preprocess").post("/", json=arg).get_json()
    assert batch["records"] == 100_500
    assert batch["shards"] <= 6


def test_more_shards_than_there_may_be_are_refused(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preprocessing.shards.TOO_MANY_SHARDS", 3)
    monkeypatch.setenv("RECORDS_PER_SHARD", "2")
    response = function("preprocess").post("/", json=argument(cloud, "a.jsonl", json_lines(9), "records"))
    assert response.get_json()["error"] == {
        "code": "too_large",
        "message": "The input has more than 6 records; split it into several files.",
    }


# --- the cut job -----------------------------------------------------------------------------------


@pytest.fixture
def ordered(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Has preprocess hand a batch over, and returns the job's argument."""

    def order(name: str, data: bytes, kind: str) -> dict[str, Any]:
        monkeypatch.setenv("CUT_JOB_BYTES", "1000")
        arg = argument(cloud, name, data, kind)
        answer = function("preprocess").post("/", json=arg).get_json()
        uri = f"gs://{cloud.work.name}/shards/{arg['job']}/argument.json"
        assert answer == {"mode": "cut", "argument": uri, "revision": "local"}
        return arg

    return order


def cut(cloud: Cloud, arg: dict[str, Any]) -> None:
    uri = f"gs://{cloud.work.name}/shards/{arg['job']}/argument.json"
    cut_job.run(Deployment(settings.load()), uri)


def test_a_very_large_batch_is_cut_by_the_job(
    cloud: Cloud, function: Function, ordered: Callable[..., dict[str, Any]], expected: Callable[..., Any]
) -> None:
    data = table(400).encode()
    batch, whole = expected("a.csv", data, "table")
    arg = ordered("again.csv", data, "table")
    cut(cloud, arg)
    again = function("preprocess").post("/", json=arg).get_json()
    assert again == batch | {"prefix": again["prefix"]}
    assert shards(cloud, arg["job"], again["shards"]) == whole


@pytest.mark.parametrize(("rows", "mode"), [(15, "batch"), (60, "cut")])
@pytest.mark.parametrize("packed", [False, True])
def test_the_size_decides_also_of_compressed_inputs(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch, rows: int, mode: str, packed: bool
) -> None:
    monkeypatch.setenv("CUT_JOB_BYTES", "1000")
    data = ("id,review\n" + "".join(f"{number},A film that I liked\n" for number in range(rows))).encode()
    arg = argument(cloud, "a.csv", gzip.compress(data) if packed else data, "table")
    assert arg["input"]["size"] < 1000 or not packed
    assert function("preprocess").post("/", json=arg).get_json()["mode"] == mode


@pytest.mark.parametrize("rows", [3000, pytest.param(300_000, marks=pytest.mark.release)])
def test_a_compressed_input_is_cut_like_its_content(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr("preprocessing.shards.MAX_SHARDS", 20)
    monkeypatch.setenv("SHARD_SECONDS", "0.1")
    data = ("id,review\n" + "".join(f"{number},A film that I liked\n" for number in range(rows))).encode()
    sizes = []
    for name, content in (("a.csv", data), ("a.csv.gz", gzip.compress(data))):
        batch = function("preprocess").post("/", json=argument(cloud, name, content, "table")).get_json()
        assert batch["records"] == rows
        sizes.append(batch["records_per_shard"])
    assert sizes[1] == pytest.approx(sizes[0], rel=0.5)


def test_what_the_job_refuses_is_refused_by_preprocess(
    cloud: Cloud, function: Function, ordered: Callable[..., dict[str, Any]]
) -> None:
    arg = ordered("a.csv", table(400).encode(), "table")
    cloud.upload("a.csv", "another generation")
    cut(cloud, arg)
    arg["input"]["generation"] = str(cloud.input.get_blob("a.csv").generation)
    cloud.upload("a.csv", table(400))
    response = function("preprocess").post("/", json=arg)
    assert (response.status_code, response.get_json()["error"]["code"]) == (422, "input_gone")


def test_the_job_fails_without_a_batch(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for uri in ("", "gs://other/a.json", f"gs://{cloud.work.name}/shards/none/argument.json"):
        monkeypatch.setenv("CUT_ARGUMENT", uri)
        assert cut_job.main() == 1


def process(cloud: Cloud, arg: dict[str, Any]) -> subprocess.Popen[bytes]:
    environ = os.environ | cloud.env | {"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT / 'functions' / 'preprocess'}"}
    environ["CUT_ARGUMENT"] = f"gs://{cloud.work.name}/shards/{arg['job']}/argument.json"
    return subprocess.Popen([sys.executable, "-m", "preprocessing.cut_job"], env=environ, cwd=ROOT)


@pytest.mark.release
@pytest.mark.parametrize("seed", range(4))
def test_a_cut_is_killed_again_and_again(
    cloud: Cloud,
    function: Function,
    ordered: Callable[..., dict[str, Any]],
    expected: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """The job's process is killed once the store has seen a random number of its requests."""
    name, kind = [("a.csv", "table"), ("a.jsonl", "records"), ("a.csv.gz", "table"), ("a.csv", "table")][seed]
    content = json_lines(2000) if kind == "records" else table(2000, seed)
    data = content.encode("utf-16" if seed == 3 else "utf-8")
    data = gzip.compress(data) if name.endswith(".gz") else data
    batch, whole = expected(name, data, kind)
    arg = ordered(f"again-{name}", data, kind)
    chance, kills, code = random.Random(seed), 0, None
    while code != 0:
        left = chance.randrange(5, 120)
        running = process(cloud, arg)

        def counting(method: str, target: str, running: Any = running) -> bool:
            nonlocal left
            left -= arg["job"] in target
            if left == 0:
                running.kill()
            return False

        cloud.faulty.faults.clear()
        cloud.fault("GET").matches = counting
        code = running.wait(60)
        kills += code != 0
    cloud.faulty.faults.clear()
    assert kills >= 3
    again = function("preprocess").post("/", json=arg).get_json()
    assert again == batch | {"prefix": again["prefix"]}
    assert shards(cloud, arg["job"], again["shards"]) == whole
