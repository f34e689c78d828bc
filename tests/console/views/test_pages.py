"""What the pages say and do, without a browser."""

import json
from typing import Any

import pytest
from google.cloud.workflows.executions_v1 import Execution

from event_inference import names
from tests.console.conftest import Opened

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202etxt.exe'


def test_an_empty_pipeline_says_what_to_do(console: Opened) -> None:
    console.refresher.refresh()
    assert "No inputs yet" in console.get("/").text
    assert "No problems" in console.get("/problems").text
    assert "No batches yet" in console.get("/batches").text
    assert "Nothing to review" in console.get("/review").text


def test_htmx_waits_for_its_extension(console: Opened) -> None:
    """Once the document is parsed, htmx begins by itself, without an extension that arrives later."""
    head = console.get("/").text.partition("</head>")[0]
    assert '<script src="/static/vendor/htmx.min.js"></script>' in head
    assert '<script src="/static/vendor/hx-sse.min.js"></script>' in head


def test_the_list_shows_answers_reasons_and_costs(console: Opened) -> None:
    console.laptop.document("results", "a.txt")
    console.laptop.document("failed", "b.txt")
    console.refresher.refresh()
    page = console.get("/").text
    for text in ("POSITIVE", "0.99", "$0.000300", "The model&#39;s service did not answer this input. No answer."):
        assert text in page
    assert "http_503" not in page  # a sentence, not a code


def test_a_hostile_name_and_content_stay_text(console: Opened) -> None:
    generation = console.upload(HOSTILE, b"<svg onload=alert(3)><script>alert(4)</script>", "image/svg+xml")
    console.laptop.document("rejected", HOSTILE, generation, reason={"code": "empty", "message": HOSTILE}, kind=None)
    console.refresher.refresh()
    row = console.index.rows("SELECT document FROM inputs")[0]
    pages = [
        console.get("/").text,
        console.get("/problems").text,
        console.pages.get("/problems", params={"name": HOSTILE}).text,
    ]
    pages.append(console.pages.get("/input", params={"document": row["document"]}).text)
    for page in pages:
        for active in ("<script>alert", "<img src=x", "<svg onload"):
            assert active not in page
        assert "U+202E" in page
    picture = console.pages.get("/input/image", params={"name": HOSTILE, "generation": str(generation)})
    assert "onload" not in picture.text
    assert picture.headers["content-security-policy"].startswith("sandbox")


def test_an_upload_appears_at_once(console: Opened) -> None:
    headers = {"x-console-token": console.token, "content-type": "application/vnd.ms-excel"}
    answer = console.pages.put("/upload?name=texts/new.txt", content=b"A fine film.", headers=headers)
    assert answer.json()["new"] is True
    assert "texts/new.txt" in console.get("/").text
    blob = console.laptop.client.connection.input.get_blob("texts/new.txt")
    assert blob is not None
    assert (blob.download_as_bytes(), blob.content_type) == (b"A fine film.", "text/plain")
    again = console.pages.put("/upload?name=texts/new.txt", content=b"A fine film.", headers=headers)
    assert again.json()["new"] is False


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 1025])
def test_an_impossible_name_is_refused(console: Opened, name: str) -> None:
    headers = {"x-console-token": console.token}
    answer = console.pages.put("/upload", params={"name": name}, content=b"x", headers=headers)
    assert answer.status_code == 400


def test_failures_are_counted_before_they_run_again(console: Opened) -> None:
    for number in range(3):
        console.laptop.document(
            "failed", f"{number}.txt", error={"code": "http_503", "message": "No.", "step": "predict"}
        )
    console.laptop.document("failed", "other.txt", error={"code": "timeout", "message": "No.", "step": "predict"})
    console.refresher.refresh()
    assert "Run 3 failed inputs again?" in console.post("/problems/replay", code="http_503").text
    assert console.laptop.orders() == []
    assert "3 inputs start again" in console.post("/problems/replay/confirmed", code="http_503").text
    assert console.laptop.orders() == [{"replay": {"code": "http_503", "limit": 3}}]


def test_selected_failures_run_again_alone(console: Opened) -> None:
    for number in range(3):
        console.laptop.document("failed", f"{number}.txt")
    console.laptop.document("results", "good.txt")
    console.refresher.refresh()
    chosen = ["0.txt/1", "2.txt/1", "good.txt/1"]
    assert "1 of the selected did not fail" in console.post("/problems/replay", document=chosen).text
    console.post("/problems/replay/confirmed", document=chosen)
    assert console.laptop.orders() == [{"replay": {"prefix": "0.txt/1"}}, {"replay": {"prefix": "2.txt/1"}}]


def test_nothing_starts_without_a_selection(console: Opened) -> None:
    console.laptop.document("failed", "a.txt")
    console.refresher.refresh()
    assert "Nothing to run again" in console.post("/problems/replay", selected="1").text
    console.post("/problems/replay/confirmed", selected="1")
    assert "Nothing to run again" in console.post("/problems/replay", code="other").text
    console.post("/problems/replay/confirmed", code="other")
    assert console.laptop.orders() == []


def test_an_input_is_sent_again_with_other_parameters(console: Opened) -> None:
    first = console.upload("a.txt", b"A film.")
    assert "is sent again" in console.post("/input/again", name="a.txt", top_k="1", model="").text
    blob = console.laptop.client.connection.input.get_blob("a.txt")
    assert blob is not None
    assert int(blob.generation) > first
    assert (blob.metadata, blob.download_as_bytes(), blob.content_type) == ({"top_k": "1"}, b"A film.", "text/plain")
    assert "not there any more" in console.post("/input/again", name="gone.txt").text
    assert "is not a parameter" in console.post("/input/again", name="a.txt", colour="red").text


def test_why_did_nothing_start(console: Opened) -> None:
    console.upload("lost.txt", b"x")
    console.refresher.refresh()
    page = console.get("/problems?name=lost.txt").text
    assert "Its event was lost, or has not arrived yet." in page
    assert "No function has claimed it" in page
    assert "Nothing was uploaded under this name" in console.get("/problems?name=nothing.txt").text
    console.post("/problems/sweep", name="lost.txt")
    assert console.laptop.orders() == [{"sweep": {"prefix": "lost.txt"}}]


def test_the_page_of_events_lists_dead_letters_and_what_waits(console: Opened) -> None:
    error = {"code": "undeliverable", "message": "The event was delivered 10 times.", "step": "deliver"}
    console.laptop.document("failed", "lost.txt", error=error)
    console.laptop.document("failed", "other.txt")
    console.refresher.refresh()
    console.post("/problems/sweep", name="lost.txt")  # its message waits in a pull subscription
    page = console.get("/events").text
    assert page.count('<a class="name"') == 1
    assert "The event was delivered 10 times." in page
    assert "0 attempts so far" in page
    assert "No failed attempts for this name" in console.get("/events?failed&name=%3Cb%3E").text
    assert console.get("/?state=failed&code=undeliverable").text.count('name="document"') == 1


@pytest.mark.parametrize(
    ("due", "sentence", "is_swept"),
    [
        ("2126-01-01T13:00:00Z", "starts by 2126-01-01 13:00:00 UTC", False),
        ("2026-01-01T13:00:00Z", "The next collection should start it", True),
        (None, "The hour&#39;s executions were used up.", True),
    ],
)
def test_why_an_input_waits(console: Opened, due: str | None, sentence: str, is_swept: bool) -> None:
    claim = {"state": "waiting", "execution": None, "argument": {"due": due} if due else {}}
    _claim(console, "a.txt", claim)
    page = console.get("/problems?name=a.txt").text
    assert sentence in page
    assert ("Start it now" in page) == is_swept


def test_an_input_that_shares_an_execution_has_started(console: Opened) -> None:
    connection = console.laptop.client.connection
    shared = Execution(labels={"job": "0", "kind": "microbatch"}, argument="{}")
    execution = connection.executions.create_execution(parent=connection.target.workflow, execution=shared)
    _claim(console, "a.txt", {"state": "started", "execution": execution.name, "argument": {}})
    page = console.get("/problems?name=a.txt").text
    assert f"Execution {execution.name.rpartition('/')[2]} is" in page
    assert "has not started an execution" not in page


def _claim(console: Opened, name: str, claim: dict[str, Any]) -> None:
    connection = console.laptop.client.connection
    job = names.job(connection.input.name, name, console.upload(name, b"x"))
    connection.work.blob(f"claims/{job}.json").upload_from_string(json.dumps(claim))


def test_a_label_is_sent_and_the_next_input_shown(console: Opened) -> None:
    for name, score in (("sure.txt", 0.9), ("unsure.txt", 0.5)):
        generation = console.upload(name, b"A film.")
        predictions = [{"label": "POSITIVE", "score": score, "scores": {"POSITIVE": score, "NEGATIVE": 1 - score}}]
        console.laptop.document("results", name, generation, predictions=predictions, quality={"confidence": score})
    console.refresher.refresh()
    page = console.get("/review").text
    assert "unsure.txt" in page.partition("<form")[2].partition("</form>")[0]
    row = console.index.rows("SELECT * FROM inputs WHERE name = 'unsure.txt'")[0]
    following = console.post("/review/label", document=row["document"], label="NEGATIVE").text
    assert "sure.txt" in following
    assert "1 left" in following
    corrected = {"document": row["document"], "label": "NEGATIVE", "source": "correction"}
    assert console.laptop.orders() == [{"label": corrected}]


def test_what_if_shows_its_arithmetic(console: Opened) -> None:
    page = console.get("/cost?inputs=10000&then.min_instances=1").text
    assert "$682.98" in page
    assert "$760.28" in page
    assert "per" in page.partition("Then, computed")[2]
    assert "einf cost --inputs 10000 --what-if min_instances=1" in page
    for query in ("inputs=x", "inputs=-1", "then.gpu=h100", "now.min_instances=-1"):
        assert console.get(f"/cost?{query}").status_code == 400


def test_traffic_and_decisions_are_sentences(console: Opened) -> None:
    bucket = console.laptop.client.connection.storage.bucket("local-models")
    traffic = {"sentiment": {"stable": "1", "candidate": "2", "share": 0.1, "mode": "split", "experiment": "e1"}}
    bucket.blob("traffic.json").upload_from_string(json.dumps(traffic))
    look = {
        "stable": "1", "candidate": "2", "difference": [-0.012, 0.034], "reason": "30 more labels are needed.",
        "e_values": {"better": 3.2, "slow": None}, "thresholds": {"better": 20, "slow": 100},
        "counts": [{"mode": "split", "share": 0.1, "stable": {"requests": 900}, "candidate": {"failed": 1}}],
    }  # fmt: skip
    bucket.blob("evidence/sentiment/e1/counts.json").upload_from_string(json.dumps(look))
    decision = {"action": "raise_share", "reason": "No guard doubts.", "e_values": {"errors": 0.5}}
    bucket.blob("decisions/sentiment/2026-01-31T12:00:00Z.json").upload_from_string(json.dumps(decision))
    page = console.get("/models").text
    assert "Version 2 gets 10 % of the inputs, version 1 the rest." in page
    assert "3.2 of the 20 that decide" in page
    assert "is -1.2 to +3.4 points" in page
    assert "30 more labels are needed." in page
    assert "The candidate gets more inputs. No guard doubts." in page
    assert "the candidate fails more often" in page


def test_a_page_that_is_not_there_says_so(console: Opened) -> None:
    assert console.get("/nope").status_code == 404
    answer = console.get("/input?document=nothing/1")
    assert answer.status_code == 404
    assert "There is no such input" in answer.text


@pytest.mark.parametrize(
    ("predictions", "texts"),
    [
        (
            [{"entities": [{"word": "Berlin", "entity_group": "LOC", "score": 0.9, "start": 0, "end": 6}]}],
            ["Berlin", "LOC"],
        ),
        ([{"objects": [{"label": "cat", "score": 0.8, "box": {"xmin": 1, "ymin": 2}}]}], ["cat", "xmin 1, ymin 2"]),
        ([{"embedding": [0.5] * 384}], ["384 numbers"]),
        ([{"label": "A", "score": 0.9}, {"error": {"code": "empty", "message": "Empty."}}], ["instance 1", "Empty."]),
        ([{"label": "A", "score": 0.9, "scores": {"A": 0.9, "B": 0.1}}], ["A", "0.10"]),
    ],
)
def test_every_task_has_an_answer_on_its_page(
    console: Opened, predictions: list[dict[str, Any]], texts: list[str]
) -> None:
    console.laptop.document("results", "a.txt", predictions=predictions, quality={"confidence": None})
    console.refresher.refresh()
    page = console.get("/input?document=a.txt/1").text
    answer = page.partition('id="out"')[2].partition("The whole document")[0]
    for text in texts:
        assert text in answer
    assert console.get("/").status_code == 200


def test_an_experiment_is_told_on_its_inputs(console: Opened) -> None:
    experiment = {"id": "e1", "arm": "candidate", "share": 0.1, "mode": "split"}
    routing = {"chosen_by": "rule", "rule": "r", "experiment": experiment}
    answer = console.laptop.document("results", "a.txt", routing=routing)
    console.laptop.write("shadow/a.txt/1.json", json.dumps({"predictions": [{"label": "NEGATIVE"}]}))
    console.laptop.write(f"labels/{answer['job']}.json", json.dumps({"label": "NEGATIVE", "source": "audit"}))
    console.refresher.refresh()
    page = console.get("/input?document=a.txt/1").text
    assert "The rule r chose it. Its candidate version answered, in the experiment e1" in page
    assert "The candidate would have said NEGATIVE." in page
    assert "unlike the model" in page


def test_labels_of_inputs_drawn_at_random_may_measure_a_model(console: Opened) -> None:
    for number in range(6):
        console.laptop.document("results", f"{number}.txt", quality={"confidence": 0.5})
    console.refresher.refresh()
    jobs = [row["job"] for row in console.index.rows("SELECT job FROM inputs ORDER BY job")]
    document = console.index.rows("SELECT document FROM inputs WHERE job = ?", (jobs[0],))[0]["document"]
    assert document in console.get("/review?order=random").text
    following = console.post("/review/label", document=document, label="POSITIVE", order="random").text
    expected = console.index.rows("SELECT document FROM inputs WHERE job = ?", (jobs[1],))[0]["document"]
    assert f'data-document="{expected}"' in following
    assert console.laptop.orders() == [{"label": {"document": document, "label": "POSITIVE", "source": "audit"}}]
    assert console.get("/review?order=best").status_code == 400


def test_the_command_of_a_bill_quotes_what_the_address_says(console: Opened) -> None:
    page = console.pages.get("/cost", params={"inputs": "10", "now.region": "x;$(id)"}).text
    assert "--set &#39;region=x;$(id)&#39;" in page
