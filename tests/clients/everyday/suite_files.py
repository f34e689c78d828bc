"""smart_open, cloudpathlib and pyarrow as users call them."""

import os

import pytest
import smart_open
from cloudpathlib import CloudPath
from pyarrow import fs

BUCKET = "clients"


@pytest.mark.parametrize("name", ["smart.txt", "smart.txt.gz", "ü b.txt"])
def test_smart_open(name):
    with smart_open.open(f"gs://{BUCKET}/{name}", "w", encoding="utf-8") as file:
        file.write("héllo\n" * 1000)
    with smart_open.open(f"gs://{BUCKET}/{name}", encoding="utf-8") as file:
        assert sum(1 for _ in file) == 1000


def test_smart_open_in_parts():
    content = os.urandom(3_000_000)
    with smart_open.open(f"gs://{BUCKET}/smart.bin", "wb", transport_params={"min_part_size": 256 * 1024}) as file:
        for start in range(0, len(content), 300_000):
            file.write(content[start : start + 300_000])
    with smart_open.open(f"gs://{BUCKET}/smart.bin", "rb") as file:
        file.seek(1_000_000)
        assert file.read(500) == content[1_000_000:1_000_500]


def test_cloudpathlib():
    folder = CloudPath(f"gs://{BUCKET}/paths")
    path = folder / "deep" / "file.txt"
    path.write_text("hi")
    path.copy(folder / "deep" / "copy.txt")
    assert sorted(found.name for found in folder.rglob("*.txt")) == ["copy.txt", "file.txt"]
    (folder / "deep" / "copy.txt").rename(folder / "renamed.txt")
    assert (folder / "renamed.txt").read_text() == "hi"
    folder.rmtree()
    assert not path.exists()


def test_pyarrow():
    store = fs.GcsFileSystem()
    with store.open_output_stream(f"{BUCKET}/arrow/file") as file:
        file.write(b"hello" * 1000)
    assert store.open_input_file(f"{BUCKET}/arrow/file").read(5) == b"hello"
    store.copy_file(f"{BUCKET}/arrow/file", f"{BUCKET}/arrow/copy")
    store.move(f"{BUCKET}/arrow/copy", f"{BUCKET}/arrow/moved")
    found = store.get_file_info(fs.FileSelector(f"{BUCKET}/arrow", recursive=True))
    assert sorted(entry.base_name for entry in found) == ["file", "moved"]
    store.delete_dir(f"{BUCKET}/arrow")
