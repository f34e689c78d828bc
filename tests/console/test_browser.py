"""The console in a real browser, on the whole local stack: what a person does, on a screen and on a phone."""

import shutil
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest

from emulator.process import Stack
from event_inference import Client, names
from tests.console.browsing import Browser, axe_source

EXECUTIONS = "v1/projects/local-project/locations/us-central1/workflows/inference/executions"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="SKIPPED LOUDLY: chromium and chromedriver are not installed (tests/chromium.sh)",
    ),
]

PAGES = ["/", "/problems", "/batches", "/events", "/review", "/models", "/cost?inputs=10000", "/?q=nothing-like-this"]
HOSTILE = '<img src=x onerror=document.title="owned"><script>document.title="owned"</script>\u202etxt.svg'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("console")) as running:
        yield running.start()


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(local=stack.data)


@pytest.fixture(scope="module")
def opened(stack: Stack, client: Client) -> Iterator[Browser]:
    samples = [f"samples/{name}" for name in ("texts/praise.txt", "images/seven-large-scan.tiff", "tables/reviews.csv")]
    handles = [client.submit(sample, name=sample.removeprefix("samples/")) for sample in samples]
    handles.append(client.submit("samples/series/daily-sales.csv", name="series/daily-sales.csv"))
    handles.append(client.submit("samples/bad/empty.txt", name="bad/empty.txt"))
    assert len(list(client.wait(handles, timeout=90))) == len(handles)
    browser = Browser(stack.addresses["services"]["console"])
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(opened: Browser) -> Iterator[Browser]:
    """The browser; whatever a test does, nothing goes wrong in the page, and nothing is asked of other hosts."""
    yield opened
    assert opened.errors() == []
    assert {origin for origin in opened.requests() if origin.startswith("http")} <= {opened.url}
    opened.resize(1280, 900)


def address(name: str, client: Client) -> str:
    """The page of an input."""
    return f"/input?document={client.handle(name).document_name}"


def test_a_dropped_file_is_answered_before_ones_eyes(browser: Browser) -> None:
    browser.open("/")
    browser.drop("dropped.txt", "A wonderful film, from beginning to end.")
    row = browser.find("tr", "dropped.txt")
    browser.until(lambda: "POSITIVE" in browser.find("tr", "dropped.txt").text, "the answer")
    assert row is not None
    assert browser.find("tr", "dropped.txt").find_element("css selector", ".state").text == "succeeded"


def test_a_folder_of_pictures_becomes_one_table(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    for name in ("eight.webp", "nine-photo.jpeg"):
        shutil.copy(f"samples/images/{name}", folder)
    browser.open("/")
    browser.driver.find_element("css selector", "#folder").send_keys(str(folder))
    browser.find("#sent a", "Show holiday/ as one table").click()
    browser.until(lambda: len(browser.driver.find_elements("css selector", ".state.succeeded")) == 2, "both answers")
    address = browser.find(".download", "Download holiday/ as one table").get_attribute("href")
    table = httpx.get(str(address)).text
    assert [line.split(",")[4] for line in table.splitlines()[1:]] in (["8", "9"], ["9", "8"])


def test_events_are_followed_as_they_are_delivered(browser: Browser, client: Client) -> None:
    browser.open("/events?name=followed")
    browser.find("#events h2", "No attempts for this name")
    client.submit(b"A film.", name="followed.txt")
    browser.find("#events tr", "followed.txt")
    browser.find("#events tr", "accepted")


def test_filters_stand_in_the_address(browser: Browser) -> None:
    browser.open("/")
    browser.find("input[name=q]").send_keys("daily")
    browser.until(lambda: len(browser.driver.find_elements("css selector", ".list tbody tr")) == 1, "one row")
    browser.until(lambda: "q=daily" in browser.driver.current_url, "the filter in the address")
    browser.open("/?q=daily")
    assert browser.find(".list tbody tr").text.startswith("succeeded")


def test_the_chart_of_a_forecast(browser: Browser, client: Client) -> None:
    browser.open(address("series/daily-sales.csv", client))
    canvas = browser.find(".chart canvas")
    assert canvas.size["width"] > 200
    assert "better than repeating the last season" in browser.find(".lead").text


def test_the_timeline_has_the_bodies_of_calls(browser: Browser, client: Client) -> None:
    browser.open(address("tables/reviews.csv", client))
    browser.find(".timeline summary", "predict_shard")
    sends = [each for each in browser.driver.find_elements("css selector", ".timeline summary") if "send" in each.text]
    sends[0].click()
    browser.find(".timeline details[open] pre.code", '"kind": "table"')
    browser.driver.execute_script("document.querySelector('.graphs').open = true")
    browser.find(".graph a text", "call_preprocess")
    browser.find(".timeline .variables code")


def test_a_failure_is_replayed(browser: Browser, stack: Stack, client: Client) -> None:
    failed = fail(stack, client, "late/film.txt")
    browser.open("/problems")
    browser.find("tr", "The model's service did not answer this input.").find_element("css selector", "button").click()
    browser.find(".panel button", "Run 1 again").click()
    browser.find(".panel", "1 input starts again")
    browser.open("/?q=late")
    browser.until(lambda: "POSITIVE" in browser.find("tr", "late/film.txt").text, "the result")
    document = client.document(failed)
    assert document is not None
    assert document.status == "succeeded"


def test_failures_are_sent_again_with_other_parameters(browser: Browser, stack: Stack, client: Client) -> None:
    fail(stack, client, "changed/film.txt")
    browser.open("/?state=failed&prefix=changed/")
    browser.find(".toolbar button", "Run all 1 again").click()
    browser.find("#answer summary", "With other parameters").click()
    browser.find("#answer input[name='with.version']").send_keys("1")
    browser.find("#answer input[name='with.model']").send_keys("sentiment")
    browser.find("#answer button", "Send 1 again with these").click()
    browser.find(".panel", "1 input is sent again")
    browser.open("/?prefix=changed/")
    browser.find("tr", "POSITIVE")
    browser.find("tr", "replaced by a newer upload")


def test_the_log_lines_of_an_input(browser: Browser, client: Client) -> None:
    browser.open(address("texts/praise.txt", client))
    browser.find("#logs")
    browser.find("section summary", "on-upload")


def test_labels_are_given_by_keyboard(browser: Browser) -> None:
    browser.open("/review")
    first = browser.find(".review").get_attribute("data-document")
    following = browser.find("#review template").get_attribute("data-next")
    browser.press("2")
    assert browser.find(".review").get_attribute("data-document") == following  # it was here before it was needed
    assert following != first
    browser.find("#said", "is labelled")
    browser.press("s")
    browser.until(lambda: "was passed over" in browser.find("#said").text, f"the one after {following}")


def test_what_if_follows_its_form(browser: Browser) -> None:
    browser.open("/cost")
    field = browser.find("input[name=inputs]")
    field.clear()
    field.send_keys("10000\t")
    browser.find("#bills .lead", "$760.28")
    browser.find("#bills h4", "Costs $77.30 a month")


def test_why_did_nothing_start(browser: Browser) -> None:
    browser.open("/problems?name=nothing/here.txt")
    browser.find(".panel h3", "Nothing was uploaded under this name")


def test_a_hostile_name_and_content_do_nothing(browser: Browser, client: Client) -> None:
    content = (
        b'<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=1"><script>document.title=1</script></svg>'
    )
    handle = client.submit(content, name=HOSTILE, content_type="image/svg+xml")
    handle.wait(60)
    browser.open("/")
    browser.find(".invisible", "U+202E")
    browser.find(".what a", "onerror").click()
    browser.find("h1", "onerror")
    assert browser.driver.title.startswith("<img")
    assert browser.driver.find_elements("css selector", "main img[src=x], main script, iframe") == []


@pytest.mark.parametrize("page", PAGES)
def test_pages_fit_a_phone_and_are_accessible(browser: Browser, page: str) -> None:
    axe = axe_source()
    for width, dark in ((390, False), (1280, True)):
        browser.resize(width, 844, dark=dark)
        browser.open(page)
        browser.find("main")
        assert browser.driver.execute_script("return document.documentElement.scrollWidth") == width
        assert browser.violations(axe) == []


@pytest.mark.parametrize("name", ["series/daily-sales.csv", "images/seven-large-scan.tiff", "tables/reviews.csv"])
def test_an_inputs_page_fits_a_phone_and_is_accessible(browser: Browser, client: Client, name: str) -> None:
    axe = axe_source()
    for width in (390, 1280):
        browser.resize(width, 844)
        browser.open(address(name, client))
        browser.driver.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert browser.driver.execute_script("return document.documentElement.scrollWidth") == width
        assert browser.violations(axe) == []


def fail(stack: Stack, client: Client, name: str) -> str:
    """Let an input fail, as the workflow reports it while the service of the model is away; returns its document."""
    family = psutil.Process(stack.pid).children(recursive=True)
    on_upload = [process for process in family if "functions/on_upload/main.py" in " ".join(process.cmdline())]
    for process in on_upload:
        process.send_signal(signal.SIGSTOP)
    try:
        handle = client.submit(b"A wonderful film.", name=name)
        bucket, now = client.target.input_bucket, datetime.now(UTC).isoformat()
        argument = {
            "job": names.job(bucket, name, handle.generation), "document": handle.document_name, "event_id": "1",
            "received_at": now, "kind": "text", "model": None, "parameters": {}, "trace": None,
            "input": {"bucket": bucket, "name": name, "generation": str(handle.generation), "size": 17,
                      "content_type": "text/plain"},
        }  # fmt: skip
        lineage = {"execution": "none", "workflow_revision": "1", "started_at": now, "service_revisions": {}}
        error = {"step": "predict", "status": 503, "code": "http_503", "message": "No instance was available."}
        answer = httpx.post(
            stack.addresses["services"]["postprocess"],
            json={"argument": argument, "error": error, "lineage": lineage},
            headers={"Authorization": f"Bearer {stack.token('postprocess')}"},
            timeout=60,
        )
        assert answer.is_success, answer.text
        assert answer.json()["status"] == "failed"
    finally:
        for process in on_upload:
            process.send_signal(signal.SIGCONT)
    wait_for_the_end(stack, names.job(bucket, name, handle.generation))
    return handle.document_name


def wait_for_the_end(stack: Stack, job: str) -> None:
    """Waits until the execution that the event of the input starts is over, since a replay leaves alone what runs."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        listing = httpx.get(f"{stack.http}/{EXECUTIONS}", params={"filter": f'labels.job="{job}"'}).raise_for_status()
        states = {execution["state"] for execution in listing.json().get("executions", [])}
        if states and not states & {"ACTIVE", "QUEUED"}:
            return
        time.sleep(0.1)
    raise AssertionError(f"the execution of {job} did not end")
