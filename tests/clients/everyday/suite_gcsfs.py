"""gcsfs as users call it, and pandas, which writes and reads gs:// paths through it."""

import gcsfs
import pandas as pd
import pytest

BUCKET = "clients"


@pytest.fixture
def fs():
    fs = gcsfs.GCSFileSystem(skip_instance_cache=True)
    yield fs
    fs.invalidate_cache()


def test_a_small_and_a_large_file(fs):
    for size in (5, 3_500_000):
        with fs.open(f"{BUCKET}/gcsfs/file", "wb", block_size=2**20) as file:
            for _ in range(5):
                file.write(b"a" * (size // 5))
        assert fs.info(f"{BUCKET}/gcsfs/file")["size"] == size
        assert fs.cat(f"{BUCKET}/gcsfs/file") == b"a" * size


def test_many_files(fs):
    fs.pipe({f"{BUCKET}/many/{number}": b"%d" % number for number in range(20)})
    assert len(fs.cat(f"{BUCKET}/many/*")) == 20
    fs.mv(f"{BUCKET}/many/1", f"{BUCKET}/many/one")
    assert fs.cat(f"{BUCKET}/many/one") == b"1"
    fs.rm(f"{BUCKET}/many", recursive=True)
    assert fs.find(f"{BUCKET}/many") == []


def test_a_bucket(fs):
    fs.mkdir("clients-other")
    assert "clients-other/" in fs.ls("")
    fs.rm("clients-other", recursive=True)
    fs.invalidate_cache()
    assert "clients-other/" not in fs.ls("")


def test_metadata(fs):
    fs.touch(f"{BUCKET}/empty")
    fs.setxattrs(f"{BUCKET}/empty", content_type="text/x", key="value")
    assert fs.getxattr(f"{BUCKET}/empty", "key") == "value"
    assert fs.info(f"{BUCKET}/empty")["size"] == 0


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "jsonl", "pkl"])
def test_pandas(suffix):
    frame, path = pd.DataFrame({"a": [1, 2], "b": ["x", "ü"]}), f"gs://{BUCKET}/frame.{suffix}"
    match suffix.partition(".")[0]:
        case "csv":
            frame.to_csv(path, index=False)
            read = pd.read_csv(path)
        case "parquet":
            frame.to_parquet(path)
            read = pd.read_parquet(path)
        case "jsonl":
            frame.to_json(path, orient="records", lines=True)
            read = pd.read_json(path, lines=True)
        case _:
            frame.to_pickle(path)
            read = pd.read_pickle(path)
    assert read.to_dict() == frame.to_dict()
