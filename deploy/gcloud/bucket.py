"""Prints the flags of `gcloud storage buckets update` that a bucket needs, one per line; none if it is as it should be.

python deploy/gcloud/bucket.py NAME LIFECYCLE-FILE <description of the bucket; the environment sets the variables.
Writes the lifecycle rules to the file, if they differ.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy import inventory

DAY = 86_400


def lifecycle(bucket: dict[str, Any]) -> list[dict[str, Any]]:
    """The rules of the inventory, as Cloud Storage has them."""
    conditions = [("age", bucket["delete_after"]), ("daysSinceNoncurrentTime", bucket["noncurrent_after"])]
    return [{"action": {"type": "Delete"}, "condition": {name: days}} for name, days in conditions if days]


def flags(bucket: dict[str, Any], found: dict[str, Any], file: Path, key: str = "") -> list[str]:
    """The flags that make the found bucket the one of the inventory, encrypted with the key."""
    needed = []
    if found.get("storageClass", "STANDARD") != bucket["class"]:
        needed.append(f"--default-storage-class={bucket['class']}")
    if found.get("versioning", {}).get("enabled", False) != bucket["versioning"]:
        needed.append("--versioning" if bucket["versioning"] else "--no-versioning")
    if int(found.get("softDeletePolicy", {}).get("retentionDurationSeconds", 0)) != bucket["soft_delete"] * DAY:
        needed.append(
            f"--soft-delete-duration={bucket['soft_delete']}d" if bucket["soft_delete"] else "--clear-soft-delete"
        )
    if found.get("encryption", {}).get("defaultKmsKeyName", "") != key:
        needed.append(f"--default-encryption-key={key}" if key else "--clear-default-encryption-key")
    rules = lifecycle(bucket)
    if found.get("lifecycle", {}).get("rule", []) != rules:
        file.write_text(json.dumps({"rule": rules}), encoding="utf-8")
        needed.append(f"--lifecycle-file={file}" if rules else "--clear-lifecycle")
    return needed


if __name__ == "__main__":
    name, path = sys.argv[1:]
    system = inventory.load(inventory.from_environ(os.environ))
    needed = flags(system["buckets"][name], json.load(sys.stdin), Path(path), system["settings"]["kms_key"])
    sys.stdout.writelines(f"{flag}\n" for flag in needed)
