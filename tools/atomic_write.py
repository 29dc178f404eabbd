"""Write a file so that a reader finds the old or the new content, never a half-written file."""

import os


def write_atomically(path, content):
    """Write bytes, or a text as UTF-8 with its line ends unchanged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # two programs may write at once
    try:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)  # what a full disk or Ctrl-C left


def write_if_changed(path, content):
    """Write bytes unless the file has them already. Returns whether the file changed."""
    if path.exists() and path.read_bytes() == content:
        return False
    write_atomically(path, content)
    return True
