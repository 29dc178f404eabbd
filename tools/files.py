"""Writing files whole, for several tools."""

import os


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
