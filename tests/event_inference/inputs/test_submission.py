"""Sending: names, metadata, sidecars, and that nothing is sent twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from event_inference import Client, InputError
from event_inference import names as naming
from event_inference.inputs import uploads
from event_inference.inputs.parameters import NAMES, Value, metadata
from pipeline.inputs.parameters import PARAMETERS
from pipeline.jobs import job
from tests.event_inference.conftest import Emulated


def objects(laptop: Emulated) -> dict[str, int]:
    """The generations in the input bucket, by name."""
    listed = laptop.client.connection.storage.list_blobs(laptop.target.input_bucket, versions=True)
    return {blob.name: blob.generation for blob in listed}


def files(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"content of {name}")
    return folder


def test_a_file_keeps_its_name_media_type_and_parameters(laptop: Emulated, tmp_path: Path):
    files(tmp_path, "a.txt")
    parameters: dict[str, Value] = {"top_k": 3, "threshold": 0.5, "multi_label": True, "labels": ["a", "b"]}
    handle = laptop.client.submit(
        tmp_path / "a.txt", model="nli", version="2", parameters=parameters, metadata={"owner": "me"}
    )
    blob = laptop.client.connection.input.get_blob("a.txt")
    assert blob.metadata == {
        "model": "nli", "version": "2", "top_k": "3", "threshold": "0.5", "multi_label": "true", "labels": "a,b",
        "owner": "me",
    }  # fmt: skip
    assert (blob.content_type, blob.generation) == ("text/plain", handle.generation)
    assert handle.job == job.of_object("local-input", "a.txt", handle.generation)
    assert handle.document_name == f"a.txt/{handle.generation}"


@pytest.mark.parametrize("name", ["a", "a/b.txt", "ü" * 300, "x" * 1000, "x" * 1024, "a~" + "0" * 32, "/", "a//b"])
def test_names_of_jobs_and_documents_are_the_pipelines(name: str):
    assert naming.document(name, 17) == job.document_of_object(name, 17)
    assert naming.job("b", name, 17) == job.of_object("b", name, 17)
    assert naming.job_of_message("t", name) == job.of_message("t", name)
    assert naming.is_job(naming.job("b", name, 17))
    assert naming.latest(name) == f"latest/{job.fit(name)}.json"


def test_every_parameter_of_the_pipeline_can_be_sent():
    assert set(PARAMETERS) == set(NAMES)


@pytest.mark.parametrize(
    ("parameters", "own", "expected"),
    [
        ({"topk": 1}, {}, "Did you mean top_k"),
        ({"model": "a"}, {"model": "b"}, "model is given twice"),
        ({"labels": ["a, b"]}, {}, "sidecar"),
        ({"top_k": None}, {}, "must be a text"),
    ],
)
def test_parameters_that_cannot_be_sent(parameters: dict, own: dict, expected: str):
    with pytest.raises(InputError, match=expected):
        metadata(parameters, own=own)


def test_the_same_content_and_metadata_are_not_sent_twice(laptop: Emulated, tmp_path: Path):
    file = files(tmp_path, "a.txt") / "a.txt"
    first = laptop.client.submit(file, parameters={"top_k": 1})
    again = laptop.client.submit(file, parameters={"top_k": 1})
    assert (first.is_new, again.is_new, again.job) == (True, False, first.job)
    other = laptop.client.submit(file, parameters={"top_k": 2})
    file.write_text("changed content")
    changed = laptop.client.submit(file, parameters={"top_k": 2})
    forced = laptop.client.submit(file, parameters={"top_k": 2}, again=True)
    assert len({handle.job for handle in (first, other, changed, forced)}) == 4


def test_bytes_are_named_by_their_content(laptop: Emulated):
    first, again = laptop.client.submit(b"A dull film."), laptop.client.submit(b"A dull film.")
    assert first.name.startswith("submitted/")
    assert (again.is_new, again.job) == (False, first.job)
    assert laptop.client.submit(b"x", name="own/name.txt").name == "own/name.txt"


def test_a_folder_keeps_its_name_and_leaves_out_hidden_files(laptop: Emulated, tmp_path: Path):
    folder = files(tmp_path / "mine", "b.txt", "a.txt", "deep/er/c.txt", ".hidden", ".git/config")
    sent = list(laptop.client.submit_many([folder]))
    assert sorted(handle.name for handle in sent) == ["mine/a.txt", "mine/b.txt", "mine/deep/er/c.txt"]
    assert set(objects(laptop)) == {handle.name for handle in sent}
    moved = list(laptop.client.submit_many([folder / "a.txt", folder], to="team/x/"))
    assert "team/x/a.txt" in {handle.name for handle in moved}
    assert "team/x/mine/b.txt" in {handle.name for handle in moved}


def test_a_sidecar_is_sent_before_its_file_and_is_no_input(laptop: Emulated, tmp_path: Path):
    folder = files(tmp_path / "mine", "a.txt")
    sidecar = folder / "a.txt.parameters.json"
    sidecar.write_text('{"top_k": 1}')
    (handle,) = laptop.client.submit_many([folder])
    present = objects(laptop)
    assert handle.name == "mine/a.txt"
    assert present["mine/a.txt.parameters.json"] < present["mine/a.txt"]
    (again,) = laptop.client.submit_many([folder])
    assert not again.is_new
    sidecar.write_text('{"top_k": 2}')
    (changed,) = laptop.client.submit_many([folder])
    assert changed.is_new, "another sidecar makes another input"


def test_an_interrupted_submission_continues_without_sending_anything_twice(laptop: Emulated, tmp_path: Path):
    folder = files(tmp_path / "mine", *(f"{number:02}.txt" for number in range(60)))
    interrupted = laptop.client.submit_many([folder], concurrency=4)
    for _ in range(10):
        next(interrupted)
    interrupted.close()  # as Ctrl-C: waits for what runs
    before = objects(laptop)
    assert 10 <= len(before) < 60
    handles = list(laptop.client.submit_many([folder]))
    after = objects(laptop)
    assert len(handles) == len(after) == 60
    assert before.items() <= after.items()
    assert sum(handle.is_new for handle in handles) == 60 - len(before)


def test_few_files_are_held_at_a_time(laptop: Emulated, monkeypatch: pytest.MonkeyPatch):
    taken = 0

    def endless(*_: object) -> Iterator[tuple[str, bytes]]:
        nonlocal taken
        while True:
            taken += 1
            yield f"{taken}.txt", b"x"

    monkeypatch.setattr(uploads, "of_paths", endless)
    sent = laptop.client.submit_many([], concurrency=2)
    for _ in range(5):
        next(sent)
    sent.close()
    assert taken <= 5 + 2 * 2


@pytest.mark.parametrize(
    ("names", "expected"), [(["nowhere"], "does not exist"), (["a\nb"], "cannot be the name of an object")]
)
def test_what_cannot_be_sent(laptop: Emulated, tmp_path: Path, names: list[str], expected: str):
    files(tmp_path, "a\nb")
    with pytest.raises(InputError, match=expected):
        list(laptop.client.submit_many([tmp_path / name for name in names]))
    with pytest.raises(InputError, match="is not a file"):
        laptop.client.submit(tmp_path)


def test_a_file_that_cannot_be_read_is_named(laptop: Emulated, tmp_path: Path):
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"gone\.txt"):
        list(laptop.client.submit_many([tmp_path / "gone.txt"]))


def test_progress_tells_of_every_file(laptop: Emulated, tmp_path: Path):
    told: list[str] = []
    folder = files(tmp_path / "mine", "a.txt", "b.txt")
    list(laptop.client.submit_many([folder], progress=lambda handle: told.append(handle.name)))
    assert sorted(told) == ["mine/a.txt", "mine/b.txt"]


def test_instances_can_be_published_without_an_upload(laptop: Emulated):
    handle = laptop.client.publish([{"text": "A wonderful film."}], model="sentiment")
    assert laptop.orders() == [{"instances": [{"text": "A wonderful film."}], "model": "sentiment"}]
    assert handle.document_name == f"messages/messages/id-{handle.name.partition('/')[2]}"
    with pytest.raises(InputError, match="Upload a file"):
        laptop.client.publish([{"text": "x" * (9 << 20)}])


def test_the_client_is_the_one_of_the_target(laptop: Emulated, monkeypatch: pytest.MonkeyPatch):
    """Emulator variables of the shell redirect no client."""
    for name in ("STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "WORKFLOWS_EMULATOR_HOST"):
        monkeypatch.setenv(name, "http://127.0.0.1:1" if name.startswith("STORAGE") else "127.0.0.1:1")
    with Client(target=laptop.target) as client:
        assert client.submit(b"x").is_new
        assert client.sweep().message_id
