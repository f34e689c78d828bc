"""Models in Cloud Storage: downloads from the emulator's, checked, resumed and shared between starts."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from gpu_service.checkpoints import bucket, checkpoint, disk, manifest, registry
from gpu_service.errors import ObjectNotFound, StartError, StorageFailed

CONFIG = b'{"architectures": ["BertForSequenceClassification"]}'
WEIGHTS = os.urandom(300_000)


class Folder:
    """A folder in the emulator's bucket `other`, empty at first."""

    def __init__(self, gcs: storage.Client, name: str) -> None:
        self.bucket, self.name = gcs.bucket("other"), name
        self.uri = f"gs://other/{name}"

    def write(self, name: str, content: bytes) -> int:
        blob = self.bucket.blob(f"{self.name}/{name}")
        blob.upload_from_string(content, "application/octet-stream")
        return int(blob.generation)

    def delete(self, name: str) -> None:
        self.bucket.blob(f"{self.name}/{name}").delete()


@pytest.fixture
def model(gcs: storage.Client, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder with weights that take several requests."""
    monkeypatch.setattr(bucket, "SLICE_BYTES", 100_000)
    folder = Folder(gcs, f"models/{abs(hash(request.node.name))}")
    folder.write("config.json", CONFIG)
    folder.write("model.safetensors", WEIGHTS)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_needed_files_are_downloaded_byte_for_byte(model: Folder):
    model.write("1_Pooling/config.json", b"{}")
    model.write("pytorch_model.bin", b"not needed")
    model.write("onnx/model.onnx", b"not needed")
    model.write("vocab.txt", b"")
    newest = model.write("tokenizer.json", b"{}")
    copy = bucket.download(model.uri)
    assert copy.name == str(newest)
    assert content(copy) == {
        "config.json": CONFIG,
        "model.safetensors": WEIGHTS,
        "1_Pooling/config.json": b"{}",
        "vocab.txt": b"",
        "tokenizer.json": b"{}",
    }


def test_a_model_may_have_a_folder_for_each_of_its_modules(gcs: storage.Client):
    folder = Folder(gcs, "models/of-modules")
    files = {"modules.json": b"[]", "0_Transformer/config.json": CONFIG, "0_Transformer/model.safetensors": WEIGHTS}
    for name, data in files.items():
        folder.write(name, data)
    copy = bucket.download(folder.uri)
    assert content(copy) == files
    assert manifest.write(copy).is_file()


def test_a_second_start_downloads_nothing(model: Folder, downloads: Any):
    copy = bucket.download(model.uri)
    assert len(downloads.downloads) == 4
    assert bucket.download(model.uri) == copy
    assert len(downloads.downloads) == 4


def test_a_copy_that_lost_a_file_is_repaired_and_a_file_of_its_own_stays(model: Folder, downloads: Any):
    copy = bucket.download(model.uri)
    (copy / "tokenizer.json").write_text("made from vocab.txt")
    count = len(downloads.downloads)
    assert bucket.download(model.uri) == copy
    assert (len(downloads.downloads), (copy / "tokenizer.json").exists()) == (count, True)
    (copy / "config.json").unlink()
    assert (bucket.download(model.uri) / "config.json").read_bytes() == CONFIG


def test_another_generation_is_another_copy(model: Folder):
    before = bucket.download(model.uri)
    generation = model.write("model.safetensors", WEIGHTS[::-1])
    after = bucket.download(model.uri)
    assert (after.name, (after / "model.safetensors").read_bytes()) == (str(generation), WEIGHTS[::-1])
    assert (before / "model.safetensors").read_bytes() == WEIGHTS, "it may still be served"


def test_a_file_deleted_from_the_folder_is_not_served_from_the_copy(model: Folder):
    model.write("pytorch_model.bin", b"pickled")
    newest = model.write("vocab.txt", b"a")
    assert set(content(bucket.download(model.uri))) == {"config.json", "model.safetensors", "vocab.txt"}
    model.delete("model.safetensors")
    copy = bucket.download(model.uri)
    assert (copy.name, set(content(copy))) == (str(newest), {"config.json", "pytorch_model.bin", "vocab.txt"})


def test_an_interrupted_download_goes_on_with_the_missing_files(model: Folder, downloads: Any, refuse: Any):
    refuse("model.safetensors", 1000)
    with pytest.raises(StorageFailed):
        bucket.download(model.uri)
    refuse("model.safetensors", 0)
    downloads.downloads.clear()
    assert content(bucket.download(model.uri)) == {"config.json": CONFIG, "model.safetensors": WEIGHTS}
    assert {path.rpartition("/")[2] for path in downloads.downloads} == {"model.safetensors"}


def test_a_damaged_download_is_repeated(model: Folder, downloads: Any):
    downloads.damaged["model.safetensors"] = 1
    assert (bucket.download(model.uri) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_model_that_always_arrives_damaged_is_refused(model: Folder, downloads: Any, cached_models: Path):
    downloads.damaged["config.json"] = 1000
    with pytest.raises(StorageFailed, match=r"config\.json arrived 3 times with a checksum other than the object's"):
        bucket.download(model.uri)
    assert not list(cached_models.glob("*/snapshots/[0-9]*"))


def test_a_model_that_changes_during_the_download_is_read_again(model: Folder, downloads: Any):
    downloads.before["model.safetensors"] = lambda: model.write("model.safetensors", WEIGHTS[::-1])
    assert content(bucket.download(model.uri)) == {"config.json": CONFIG, "model.safetensors": WEIGHTS[::-1]}


def test_a_file_that_appears_during_the_download_is_not_missed(model: Folder, downloads: Any):
    downloads.before["model.safetensors"] = lambda: model.write("vocab.txt", b"late")
    assert content(bucket.download(model.uri))["vocab.txt"] == b"late"


def test_a_model_that_keeps_changing_is_refused(model: Folder, downloads: Any):
    def change() -> None:
        model.write("config.json", CONFIG)
        downloads.before["model.safetensors"] = change

    downloads.before["model.safetensors"] = change
    with pytest.raises(StartError, match="keeps changing; start again when all its files are copied"):
        bucket.download(model.uri)


def test_concurrent_starts_download_once(model: Folder, downloads: Any):
    copies: list[Path] = []
    starts = [threading.Thread(target=lambda: copies.append(bucket.download(model.uri))) for _ in range(3)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(copies) == 3
    assert len(set(copies)) == 1
    assert len(downloads.downloads) == 4


def test_a_model_larger_than_the_disk_is_refused_before_the_download(
    model: Folder, downloads: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: Free(200_000))
    with pytest.raises(StartError, match=r"needs 0\.3 MB more in .*, which has 0\.2 MB free; .* set MODELS_CACHE"):
        bucket.download(model.uri)
    assert downloads.downloads == []


class Free:
    def __init__(self, free: int) -> None:
        self.free = free


def test_a_cache_that_cannot_be_written_is_named(model: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MODELS_CACHE", str(tmp_path / "file"))
    with pytest.raises(StartError, match=r"cannot be stored in .*: Not a directory; set MODELS_CACHE"):
        bucket.download(model.uri)


@pytest.mark.parametrize(
    ("uri", "error", "said"),
    [
        ("gs://other/no-such-model", StartError, "There are no objects under gs://other/no-such-model"),
        ("gs://no-such-bucket/a", ObjectNotFound, "gs://no-such-bucket/a"),
    ],
)
def test_a_missing_folder_or_bucket_is_named(gcs: storage.Client, uri: str, error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        bucket.download(uri)


def test_a_folder_without_a_model_is_refused(model: Folder):
    model.delete("config.json")
    with pytest.raises(StartError, match=r"has no config\.json; copy a folder there that save_pretrained wrote"):
        bucket.download(model.uri)


def test_a_compressed_object_is_refused(model: Folder, gcs: storage.Client):
    blob = model.bucket.blob(f"{model.name}/vocab.txt")
    blob.content_encoding = "gzip"
    blob.upload_from_string(b"x")
    with pytest.raises(StartError, match=r"vocab\.txt is stored with the encoding gzip"):
        bucket.download(model.uri)


class TestManifest:
    @pytest.fixture
    def local(self, tmp_path: Path) -> Path:
        (tmp_path / "config.json").write_bytes(CONFIG)
        (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
        manifest.write(tmp_path)
        return tmp_path

    def test_a_folder_that_agrees_is_accepted(self, model: Folder, local: Path):
        generation = model.write("MANIFEST.json", (local / "MANIFEST.json").read_bytes())
        assert bucket.download(model.uri).name == str(generation), "the newest object, since it is copied last"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda model: model.write("model.safetensors", WEIGHTS[::-1]), r"model\.safetensors has another SHA-256"),
            (lambda model: model.write("model.safetensors", b"short"), r"model\.safetensors has 5 bytes, not 300000"),
            (lambda model: model.delete("model.safetensors"), r"model\.safetensors is missing"),
            (lambda model: model.write("vocab.txt", b"new"), r"vocab\.txt is not listed"),
        ],
    )
    def test_a_folder_that_differs_is_refused(self, model: Folder, local: Path, change: Callable[..., Any], said: str):
        model.write("MANIFEST.json", (local / "MANIFEST.json").read_bytes())
        change(model)
        with pytest.raises(StartError, match=rf"does not match its MANIFEST\.json: {said}"):
            bucket.download(model.uri)
        with pytest.raises(StartError, match=r"does not match its MANIFEST\.json"):
            bucket.download(model.uri)

    @pytest.mark.parametrize("text", ["", "[]", '{"files": {"config.json": 3}}', '{"files": {}, "other": 1}'])
    def test_a_malformed_manifest_is_refused(self, model: Folder, text: str):
        model.write("MANIFEST.json", text.encode())
        with pytest.raises(StartError, match=r"MANIFEST\.json is not valid"):
            bucket.download(model.uri)


class TestModelsFile:
    @pytest.fixture
    def place(self, gcs: storage.Client, request: pytest.FixtureRequest) -> Folder:
        return Folder(gcs, f"registry-{abs(hash(request.node.name))}")

    def entries(self, place: Folder, *sources: str) -> str:
        entries = [
            {"name": f"m{number}", "task": "text-classification", "source": source}
            for number, source in enumerate(sources)
        ]
        place.write("models.json", json.dumps({"mine": entries}).encode())
        return f"{place.uri}/models.json"

    def test_sources_are_relative_to_it(self, place: Folder):
        for version in ("1", "2"):
            place.write(f"moods/{version}/config.json", CONFIG)
            place.write(f"moods/{version}/vocab.txt", version.encode())
        uri = self.entries(place, "moods/1", "./moods/2", f"{place.uri}/moods/2/")
        found = [checkpoint.find(entry, uri) for entry in registry.load(uri, None).entries]
        assert [(each.folder / "vocab.txt").read_text() for each in found] == ["1", "2", "2"]
        assert [each.revision for each in found] == [each.folder.name for each in found]
        assert all(each.revision and each.revision.isdecimal() for each in found)

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("mood/1/x", r"there is no folder gs://.*/mood/1/x"),
            ("moods/3", r"there is no folder gs://.*/moods/3; in place of '3' there are 1"),
            ("moodz", r"there is no folder gs://.*/moodz \(did you mean 'moods'\?\); a model of the hub is written"),
            ("../../moods", r"the source '../../moods' leaves the bucket"),
        ],
    )
    def test_a_folder_that_does_not_exist_is_reported(self, place: Folder, source: str, said: str):
        place.write("moods/1/config.json", CONFIG)
        with pytest.raises(StartError, match=rf"models\.json: profile 'mine', entry 1 \(m0\): {said}"):
            registry.load(self.entries(place, source), None)

    def test_owner_and_name_without_such_a_folder_are_a_repository(self, place: Folder):
        uri = self.entries(place, "owner/name")
        assert registry.load(uri, None).entries[0].source == "owner/name"

    def test_a_missing_file_is_reported(self, gcs: storage.Client):
        with pytest.raises(
            StartError, match=r"There is no file gs://other/nothing/models\.json; MODELS is the path or"
        ):
            registry.load("gs://other/nothing/models.json", None)

    def test_a_refusal_is_reported_in_the_words_of_cloud_storage(self, place: Folder, refuse: Any):
        uri = self.entries(place, "owner/name")
        refuse("models.json", 1)
        with pytest.raises(StorageFailed, match=rf"Cloud Storage failed for {uri}: 403 GET"):
            registry.load(uri, None)
