"""The command against the laptop's APIs: data on stdout, the rest on stderr, exit statuses."""

import csv
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from google.cloud.workflows import executions_v1

from event_inference.errors import FAILED, REJECTED, SUCCEEDED, TIMEOUT, UNREACHABLE, USAGE
from tests.event_inference.conftest import Emulated, Ended, local_environment

Invoke = Callable[..., Ended]
LOST = {"records": 9, "failed": 2, "uri": "gs://local-output/x.csv", "lost": [{"code": "http_503"}]}


@pytest.fixture
def run(invoke: Invoke, laptop: Emulated) -> Invoke:
    """Runs the command in a shell that points at the laptop."""
    env = local_environment(laptop)
    return lambda *arguments, **options: invoke(*arguments, **{"env": env, **options})


def answering(laptop: Emulated, *outcomes: str) -> list[str]:
    """Files on the laptop whose documents exist already, and arguments that send them."""
    paths = []
    for number, folder in enumerate(outcomes):
        path = Path(f"{number}.txt")
        path.write_text(folder)
        handle = laptop.client.submit(path)
        fields: dict[str, Any] = {"status": "partial", "data": LOST} if folder == "lost" else {}
        if folder == "partial":
            fields = {"status": "partial", "data": {**LOST, "lost": []}}
        laptop.document("results" if fields else folder, path.name, handle.generation, **fields)
        paths.append(str(path))
    return paths


def test_the_pipeline_is_named_on_stderr_alone(run: Invoke, laptop: Emulated):
    ended = run("results", "--json")
    assert ended.out == ""
    assert ended.err == f"einf: local stack at http://{laptop.http} (STORAGE_EMULATOR_HOST)\n"


@pytest.mark.parametrize(
    ("outcomes", "status", "summary"),
    [
        (["results", "results"], SUCCEEDED, "2 succeeded"),
        (["results", "rejected"], REJECTED, "1 succeeded, 1 rejected (empty)"),
        (["results", "partial"], REJECTED, "1 succeeded, 1 partial"),
        (["rejected", "failed"], FAILED, "1 rejected (empty), 1 failed (http_503)"),
        (["results", "lost"], FAILED, "1 succeeded, 1 partial"),
    ],
)
def test_waiting_ends_with_the_status_of_the_worst(
    run: Invoke, laptop: Emulated, outcomes: list[str], status: int, summary: str
):
    paths = answering(laptop, *outcomes)
    ended = run("submit", *paths, "--wait")
    assert (ended.status, ended.out.splitlines()[-1]) == (status, f"0 sent, 2 already there, {summary}")
    documents = run("submit", *paths, "--wait", "--json")
    assert (documents.status, [found["input"]["name"] for found in documents.json]) == (status, ["0.txt", "1.txt"])


def test_submit_reports_what_it_sent(run: Invoke, laptop: Emulated):
    Path("a.txt").write_text("x")
    assert run("submit", "a.txt").out == "1 sent\n"
    assert run("submit", "a.txt").out == "0 sent, 1 already there\n"
    (handle,) = run("submit", "a.txt", "--again", "--json").json
    assert handle["is_new"]
    assert laptop.client.find("a.txt").job == handle["job"]


def test_submit_passes_on_parameters_and_metadata(run: Invoke, laptop: Emulated):
    Path("a.txt").write_text("x")
    options = ["--model", "nli", "--version", "2", "-p", "top_k=1", "-p", "labels=a,b", "-m", "owner=me=you"]
    assert run("submit", "a.txt", "--to", "in/box", "--content-type", "text/markdown", *options).status == 0
    blob = laptop.client.connection.input.get_blob("in/box/a.txt")
    assert blob.metadata == {"model": "nli", "version": "2", "top_k": "1", "labels": "a,b", "owner": "me=you"}
    assert blob.content_type == "text/markdown"


def test_submit_reads_stdin(run: Invoke, laptop: Emulated):
    assert run("submit", "-", "--name", "dull.txt", "--to", "x", input=b"A dull film.").status == 0
    assert laptop.client.connection.input.blob("x/dull.txt").download_as_bytes() == b"A dull film."


def test_waiting_times_out(run: Invoke):
    Path("a.txt").write_text("x")
    ended = run("submit", "a.txt", "--wait", "--timeout", "0.1s")
    assert ended.status == TIMEOUT
    assert "einf: a.txt has no document after 0.1 s; processing goes on. See: einf status a.txt" in ended.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["sbmit"], "Did you mean 'submit'?"),
        (["submit", "a", "--wiat"], "--wait"),
        (["submit"], "Missing argument"),
        (["submit", "nowhere.txt"], "nowhere.txt does not exist."),
        (["submit", "a.txt", "-"], "- stands alone"),
        (["submit", "a.txt", "b.txt", "--name", "x"], "are for one file or stdin"),
        (["submit", "a.txt", "-p", "tpo_k=1"], "Did you mean top_k?"),
        (["submit", "a.txt", "-p", "top_k"], "must be NAME=VALUE"),
        (["submit", "a.txt", "-p", "top_k=1", "-p", "top_k=2"], "top_k is given twice"),
        (["results", "--since", "yesterday"], "'yesterday' is no time; write 1h, 2d"),
        (["results", "--below", "2"], "not in the range"),
        (["results", "--kind", "txt"], "is not one of"),
        (["results", "--json", "--format", "csv"], "contradict each other"),
        (["results", "-o", "x.txt"], "--output needs --format"),
        (["results", "--records"], "--records needs --format csv, json or parquet."),
        (["results", "a", "--prefix", "b"], "PREFIX and --prefix are the same"),
        (["submit", "gs://local-input/a.txt"], "is in Cloud Storage already"),
        (["submit", "gs://local-input/a.txt", "--name", "b"], "einf status gs://local-input/a.txt"),
        (["submit", "https://example.org/a.txt"], "https://example.org/a.txt is not a local file. Download it first"),
        (["results", "--format", "csv", "-o", "no/folder.csv"], "no/folder.csv cannot be written"),
        (["replay"], "Choose by PREFIX"),
        (["replay", "--limit", "0"], "0 is not in the range"),
        (["status", "nope"], "gs://local-input/nope does not exist"),
        (["results", "--project", "a-project", "--local", "."], "--local and --project each"),
        (["local", "logs", "--data", "."], "There are no logs"),
        (["completion", "tcsh"], "is not one of"),
    ],
    ids=str,
)
def test_mistakes_say_what_to_do(run: Invoke, arguments: list[str], expected: str):
    Path("a.txt").write_text("x")
    Path("b.txt").write_text("x")
    ended = run(*arguments)
    assert (ended.status, ended.out) == (USAGE, "")
    assert expected in ended.err


def test_an_emulator_that_does_not_answer_is_unreachable(invoke: Invoke):
    env = {
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1",
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
        "WORKFLOWS_EMULATOR_HOST": "127.0.0.1:1",
    }
    for arguments in (["results"], ["submit", "-"], ["sweep"], ["doctor"]):
        ended = invoke(*arguments, env=env)
        assert ended.status == UNREACHABLE, arguments
        assert "einf local up" in ended.err + ended.out


def test_results_as_csv_json_and_table(run: Invoke, laptop: Emulated):
    laptop.document("results", "a.txt", 1)
    laptop.document("results", "t.csv", 2, kind="table", status="partial", predictions=None, data=LOST,
                    quality={"confidence": None})  # fmt: skip
    rows = list(csv.DictReader(run("results", "--format", "csv").out.splitlines()))
    assert [(row["input"], row["label"], row["confidence"], row["records"]) for row in rows] == [
        ("a.txt", "POSITIVE", "0.99", ""),
        ("t.csv", "", "", "9"),
    ]
    assert [document["kind"] for document in run("results", "--json").json] == ["text", "table"]
    lines = run("results").out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["input", "outcome"], ["a.txt", "succeeded"], ["t.csv", "partial"],
    ]  # fmt: skip
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(("name", "first"), [("x.csv", "input,"), ("x.json", "{"), ("x.jsonl", "{")])
def test_the_files_ending_chooses_the_format(run: Invoke, laptop: Emulated, name: str, first: str):
    laptop.document("results", "a.txt", 1)
    assert run("results", "-o", name).out == ""
    text = Path(name).read_text()
    assert text.removeprefix("\ufeff").startswith(first)
    assert text.startswith("\ufeff") == name.endswith(".csv"), "by the mark, Excel recognises UTF-8"
    assert not list(Path().glob(".*" + name + "*")), "no draft is left"


def batch(laptop: Emulated, name: str, kind: str, data: str, ending: str, *, records: int = 2, **fields: Any) -> None:
    uri = f"results/{name}/1{ending}"
    laptop.write(uri, data)
    laptop.document("results", name, 1, kind=kind, predictions=None, quality={"confidence": None},
                    data={"records": records, "uri": f"gs://local-output/{uri}"}, **fields)  # fmt: skip


def test_the_records_of_all_results_as_one_table(run: Invoke, laptop: Emulated):
    laptop.document("results", "photos/Äpfel.png", 1, kind="image")
    lines = [
        {"index": 0, "id": 7, "uri": "gs://local-input/photos/b.png", "label": "8", "score": 0.5},
        {"index": 1, "uri": "gs://local-input/photos/c.png", "error": {"code": "corrupt_image", "message": "It is."}},
    ]
    batch(laptop, "photos/m.json", "manifest", "".join(json.dumps(line) + "\n" for line in lines), ".jsonl")
    rows = "\ufeffuri,label,score,error,truncated,score_1\r\ngs://local-input/d.png,9,0.25,,,0.1\r\n"
    batch(laptop, "photos/n.json", "manifest", rows, ".csv")
    rows = 'label;text;label_2;score;error;truncated\nx;"two\nlines";POSITIVE;0,75;;\ny;b;;;invalid_text;\n'
    batch(laptop, "photos/t.csv", "table", rows, ".csv", table={"delimiter": ";", "considered": [], "notes": []})
    batch(laptop, "photos/z.csv", "timeseries", "date,prediction\n", ".csv")

    assert run("results", "--prefix", "photos/", "--records", "-o", "all.csv").out == ""
    text = Path("all.csv").read_bytes().decode("utf-8")
    assert text.startswith("\ufeffinput,record,id,")
    read = list(csv.DictReader(text.removeprefix("\ufeff").splitlines()))
    assert [(row["input"], row["record"], row["id"], row["label"], row["score"], row["code"]) for row in read] == [
        ("photos/b.png", "0", "7", "8", "0.5", ""),
        ("photos/c.png", "1", "", "", "", "corrupt_image"),
        ("d.png", "0", "", "9", "0.25", ""),
        ("photos/t.csv", "0", "", "POSITIVE", "0.75", ""),
        ("photos/t.csv", "1", "", "", "", "invalid_text"),
        ("photos/z.csv", "", "", "", "", ""),
        ("photos/Äpfel.png", "0", "", "POSITIVE", "0.99", ""),
    ]
    assert [row["status"] for row in read[:2]] == ["succeeded", "failed"]
    (first, *_) = run("results", "photos/m", "--records", "--json").json
    assert (first["input"], first["record"], first["label"]) == ("photos/b.png", 0, "8")


def test_what_the_pipeline_remarks_is_shown(run: Invoke, laptop: Emulated):
    series = {"value_column": "sales", "dropped": 2, "notes": ["Column 'sales' was forecast.", "2 rows dropped."]}
    handle = laptop.client.submit(b"x", name="s.csv")
    laptop.document("results", "s.csv", handle.generation, kind="timeseries", predictions=None,
                    quality={"confidence": None}, forecast={"series": series, "backtest": {}},
                    data={"records": 28, "uri": "gs://local-output/x.csv"})  # fmt: skip
    for command in ("status", "results"):
        ended = run(command, "s.csv")
        assert "28 steps of sales, 2 rows left out" in ended.out
        assert "s.csv: Column 'sales' was forecast.\ns.csv: 2 rows dropped.\n" in ended.err


def test_one_record_is_one(run: Invoke, laptop: Emulated):
    batch(laptop, "t.csv", "table", "text,label\n", ".csv", records=1)
    assert "1 record " in run("results").out
    assert run("results", "--save", "out", "t").err.endswith("1 document saved to out\n")


def test_results_as_parquet(run: Invoke, laptop: Emulated):
    laptop.document("results", "a.txt", 1)
    laptop.document("results", "b.txt", 1, predictions=[{"embedding": [0.5]}], quality={"confidence": None})
    laptop.document("rejected", "c – \u2028.txt", 1)
    assert run("results", "-o", "x.parquet").status == 0
    columns = "input, label, confidence, requires_review, finished_at, records"
    with duckdb.connect() as database:
        rows = database.execute(f"SELECT {columns} FROM 'x.parquet'").fetchall()
        assert rows[0][:3] == ("a.txt", "POSITIVE", 0.99)
        assert rows[0][3] is False
        assert datetime.fromisoformat(rows[0][4]).tzinfo
        assert rows[1][:3] == ("b.txt", None, None)
        assert rows[1][5] is None
        types = dict(database.execute("SELECT name, type FROM parquet_schema('x.parquet')").fetchall())
        assert (types["score"], types["records"], types["label"]) == ("DOUBLE", "INT64", "BYTE_ARRAY")
        assert run("rejected", "-o", "y.parquet").status == 0
        assert database.execute("SELECT input, code FROM 'y.parquet'").fetchall() == [("c – \u2028.txt", "empty")]
        assert run("failed", "-o", "none.parquet").status == 0
        assert database.execute("SELECT count(*) FROM 'none.parquet'").fetchall() == [(0,)]


def test_a_table_shows_the_first_hundred_and_says_so(run: Invoke, laptop: Emulated):
    for number in range(101):
        laptop.document("rejected", f"{number:03}.txt", 1)
    ended = run("rejected")
    assert len(ended.out.splitlines()) == 101  # the headings
    assert "Only the first 100 are shown" in ended.err
    assert len(run("rejected", "--limit", "3").out.splitlines()) == 4
    assert len(run("rejected", "--json").json) == 101


def test_names_cannot_command_the_terminal(run: Invoke, laptop: Emulated):
    laptop.document("rejected", "a\x1b[31m\u202e.txt", 1)
    ended = run("rejected")
    assert r"a\u001b[31m\u202e.txt" in ended.out
    assert "\x1b" not in ended.out


def test_failures_can_be_chosen_and_saved(run: Invoke, laptop: Emulated):
    laptop.document("failed", "../up.txt", 1, age=timedelta(days=2))
    laptop.document("failed", "b.txt", 1)
    assert [document["input"]["name"] for document in run("failed", "--since", "1d", "--json").json] == ["b.txt"]
    assert run("failed", "--save", "out").status == 0
    assert sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*.json")) == [
        "failed/_../up.txt/1.json",
        "failed/b.txt/1.json",
    ]


def test_status_of_several_inputs(run: Invoke, laptop: Emulated):
    answering(laptop, "results", "rejected")
    laptop.client.submit(b"x", name="waiting.txt")
    ended = run("status", "0.txt", "waiting.txt")
    assert ended.status == SUCCEEDED
    assert [line.split()[:2] for line in ended.out.splitlines()[1:]] == [
        ["0.txt", "succeeded"], ["waiting.txt", "waiting"],
    ]  # fmt: skip
    ended = run("status", "1.txt", "--json")
    assert (ended.status, ended.json[0]["document"]["reason"]["code"]) == (REJECTED, "empty")


def test_status_of_an_input_that_may_wait(run: Invoke, laptop: Emulated):
    job = laptop.client.submit(b"x", name="a.txt").job
    claim = {"state": "waiting", "execution": None, "argument": {"due": "2026-01-01T13:00:00Z"}}
    laptop.client.connection.work.blob(f"claims/{job}.json").upload_from_string(json.dumps(claim))
    assert "a.txt  waiting  until 2026-01-01 13:00 UTC, for others to run with" in run("status", "a.txt").out
    assert run("status", "a.txt", "--json").json[0]["until"] == "2026-01-01T13:00:00+00:00"


def test_status_of_an_input_whose_claim_names_a_run(run: Invoke, laptop: Emulated):
    job = laptop.client.submit(b"x", name="a.txt").job
    connection = laptop.client.connection
    shared = executions_v1.Execution(labels={"job": "0", "kind": "microbatch"}, argument="{}")
    execution = connection.executions.create_execution(parent=connection.target.workflow, execution=shared)
    claim = {"state": "claimed", "execution": None, "run": "r", "argument": {"due": "2026-01-01T13:00:00Z"}}
    connection.work.blob(f"claims/{job}.json").upload_from_string(json.dumps(claim))
    for jobs, state in (None, "waiting"), (["another"], "waiting"), ([job], "running"):
        if jobs:
            fields = {"execution": execution.name, "jobs": jobs}
            connection.work.blob("runs/r.json").upload_from_string(json.dumps(fields))
        assert run("status", "a.txt", "--json").json[0]["state"] == state


@pytest.mark.parametrize(
    ("arguments", "order"),
    [
        (["--all"], {"limit": None}),
        (["--all", "--code", "broken"], {"code": "broken", "limit": None}),
        (["--all", "--limit", "2000000"], {"limit": 2_000_000}),
        (["--code", "broken", "--limit", "1000"], {"code": "broken"}),
    ],
)
def test_a_replay_of_all_has_no_limit(run: Invoke, laptop: Emulated, arguments: list[str], order: dict[str, Any]):
    assert run("replay", *arguments).status == 0
    assert laptop.orders() == [{"replay": order}]


def test_replay_counts_first(run: Invoke, laptop: Emulated):
    laptop.document("failed", "a.txt", 1)
    assert run("replay", "a", "--dry-run").out.splitlines()[-1] == "1 job would start again"
    assert laptop.orders() == []
    assert run("replay", "a", "--code", "http_503").status == 0
    assert run("sweep", "x", "--limit", "5").status == 0
    (collected,) = run("collect", "--json").json
    assert collected["order"] == {"collect": {}}
    assert laptop.orders() == [
        {"replay": {"prefix": "a", "code": "http_503"}}, {"sweep": {"prefix": "x", "limit": 5}}, {"collect": {}},
    ]  # fmt: skip


def test_watch_shows_what_is_new(run: Invoke, laptop: Emulated):
    laptop.document("results", "old.txt", 1, age=timedelta(minutes=30))
    laptop.document("results", "new.txt", 1, age=timedelta(minutes=1))
    laptop.document("failed", "bad.txt", 1)
    lines = run("watch", "--since", "10m", "--for", "0s").out.splitlines()
    assert [line.split()[1:3] for line in lines] == [["succeeded", "new.txt"], ["failed", "bad.txt"]]
    (failed,) = run("watch", "b", "--since", "10m", "--for", "0s", "--json").json
    assert failed["status"] == "failed"


def test_watch_shows_the_progress_of_batches(run: Invoke, laptop: Emulated):
    batch = {
        "job": "1", "document": "t.csv/5", "state": "running", "records": {"total": 2000, "done": 1400, "failed": 3},
        "records_per_second": 812.0,
    }  # fmt: skip
    laptop.write("status/1.json", json.dumps(batch))
    assert "running    t.csv  1,400/2,000  3 failed  812 records/s" in run("watch", "--since", "1h", "--for", "0s").out


def test_doctor_of_a_laptop(run: Invoke, laptop: Emulated):
    ended = run("doctor")
    assert ended.status == SUCCEEDED, ended.out
    laptop.document("failed", "a.txt", 1)
    ended = run("doctor", "--json")
    assert ended.status == SUCCEEDED
    assert ended.json[-1] == {
        "what": "failures in the last day", "ok": None, "state": "1 (http_503)",
        "mend": "einf failed --since 1d; einf replay --since 1d --dry-run",
    }  # fmt: skip


def test_contexts_are_listed(invoke: Invoke):
    Path("config.toml").write_text('current = "b"\n[contexts.a]\nlocal = "/x"\n[contexts.b]\nproject = "b-project"\n')
    ended = invoke("contexts", env={"EINF_CONFIG": "config.toml"})
    assert [line.split()[:2] for line in ended.out.splitlines()[1:]] == [["a", "/x"], ["*", "b"]]
    assert invoke("contexts").err.endswith("config.toml has no contexts.\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(invoke: Invoke, shell: str):
    assert "_EINF_COMPLETE" in invoke("completion", shell).out
