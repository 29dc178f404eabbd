"""What several tools do with files: write them whole, and split the names as the stages do."""

import os
import zlib


def write_atomically(path, content):
    """Write bytes, or a text as UTF-8 with its line ends as they are: all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    os.replace(part, path)


def write_if_changed(path, content):
    """Write these bytes unless the file has them already; return whether that changed the file."""
    if path.exists() and path.read_bytes() == content:
        return False
    write_atomically(path, content)
    return True


def split_names(text):
    """{"train", "val", "test"}: names, one a line, as load_splits of stages 02 to 05 has them."""
    splits = {"train": [], "val": [], "test": []}
    for name in text.split():
        bucket = zlib.crc32(name.encode()) % 10
        splits[{8: "val", 9: "test"}.get(bucket, "train")].append(name)
    return splits
