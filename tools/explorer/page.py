"""Put header, blobs, styles and modules into one HTML file.

The JavaScript in page/ is written as ES modules, which a browser cannot load from one file. So
this file joins them in the order of their imports. Each becomes a function that returns what the
module exports.
"""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "page"
LARGEST = 6_000_000  # bytes
IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+\.js)";$', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|const|class) (\w+))", re.MULTILINE)


def join_modules(first="app.js"):
    """The text of a module and of all that it imports, each once and after what it needs."""
    parts, seen = ["const modules = {};"], set()

    def add(name):
        if name in seen:
            return
        seen.add(name)
        source = (PAGE / name).read_text(encoding="utf-8")
        for _, imported in IMPORT.findall(source):
            add(imported)
        body = IMPORT.sub(r'const \1 = modules["\2"];', source)
        exported = ", ".join(found[1] for found in EXPORT.findall(body))
        body = EXPORT.sub(r"\1", body)
        if name == first:  # the only one that waits for something, which a function could not
            parts.append(f"// ---- {name} ----\n{{\n{body}}}\n")
        else:
            body = f"(() => {{\n{body}return {{ {exported} }};\n}})();"
            parts.append(f'// ---- {name} ----\nmodules["{name}"] = {body}\n')

    add(first)
    return "\n".join(parts)


def join_styles():
    """The page's own styles, then those of the views."""
    files = [PAGE / "style.css", *sorted(PAGE.glob("view_*.css"))]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def source_hash(text):
    """What a Content-Security-Policy calls an inline script or style with this text."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def choose_blobs(blobs, room):
    """(chosen, left out): blobs in their order while they fit into this many bytes.

    Earlier weights of the training are chosen after the models and the names.
    """
    chosen, left_out = [], []
    for blob in sorted(blobs, key=lambda blob: "@" in blob.key):
        size = len(blob.content) * 4 / 3 + 100
        if size <= room:
            room -= size
            chosen.append(blob)
        else:
            left_out.append(blob)
    return chosen, left_out


def name_left_out(blobs, runs):
    """Names for the blobs that are left out: whole models, then earlier weights of models."""

    def name(blob):
        title, number = blob.title.split(", step ")[0], blob.key.split(":")[0]
        return f"{title} ({runs[int(number)]['name']})" if number.isdigit() and runs[1:] else title

    whole = [name(blob) for blob in blobs if "@" not in blob.key]
    earlier = dict.fromkeys(name(blob) for blob in blobs if "@" in blob.key)
    return whole + [f"earlier weights of {model}" for model in earlier]


def build_page(header, blobs):
    """(the page's bytes, lines that say what was left out)."""
    script, style = join_modules(), join_styles()
    theme = (PAGE / "theme.js").read_text(encoding="utf-8")
    template = (PAGE / "page.html").read_text(encoding="utf-8")
    head = json.dumps(header, separators=(",", ":"))
    fixed = sum(len(text.encode()) for text in (script, style, template, head)) + 2000
    chosen, left_out = choose_blobs(blobs, LARGEST - fixed)
    missing = name_left_out(left_out, header["runs"])
    header = {**header, "left_out": missing}
    head = json.dumps(header, separators=(",", ":"))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {source_hash(theme)} {source_hash(script)}",
            f"style-src {source_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    # Inside a script element, only </script and <!-- mean something to HTML: both begin with <.
    head = head.replace("<", "\\u003c")
    tags = [f'<script type="application/json" id="header">{head}</script>']
    for blob in chosen:
        opening = f'<script type="application/octet-stream" data-blob="{html.escape(blob.key)}">'
        tags.append(f"{opening}{base64.b64encode(blob.content).decode()}</script>")
    parts = {
        "policy": policy, "style": style, "theme": theme, "blobs": "\n".join(tags), "script": script
    }  # fmt: skip
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    lines = [f"left out, to keep the page below 6 MB: {', '.join(missing)}"] if missing else []
    untrained = [part for run in header["runs"] for part in run["missing"]]
    lines += [f"{part['folder']}: {part['how']}" for part in untrained]
    return page.encode("utf-8"), lines
