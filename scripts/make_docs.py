"""Writes the documents that are generated from the code; a test fails when they are outdated."""

import json
from pathlib import Path
from typing import Any, Final

from make_man import command_page, settings_page

from telnetsd.config import documents as configuration
from telnetsd.events.documents import json_schema, page
from telnetsd.lines.kinds.table import KINDS
from telnetsd.rpc.message import answer_name
from telnetsd.rpc.messages import DIRECTIONS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def main() -> None:
    """Write the documents."""
    (DOCS / "audit-events.md").write_text(page(), encoding="utf-8")
    (DOCS / "telnetsd.8").write_text(command_page(), encoding="utf-8")
    (DOCS / "telnetsd.toml.5").write_text(settings_page(), encoding="utf-8")
    (DOCS / "configuration.md").write_text(configuration.page(), encoding="utf-8")
    for path, name in TABLES:
        text = path.read_text(encoding="utf-8")
        path.write_text(with_table(text, name), encoding="utf-8")
    (DOCS / "audit-events.schema.json").write_text(_lay_out(json_schema()), encoding="utf-8")


def with_table(text: str, name: str) -> str:
    """Return a document with the current table of the code between its marks.

    Raises:
        LookupError: The document has no such marks.
    """
    begin, end = f"<!-- {name}: made by scripts/make-docs -->\n", f"<!-- end of {name} -->\n"
    if begin not in text or end not in text:
        raise LookupError(f"no marks for the table of {name}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{MAKERS[name]()}{end}{after}"


def line_kinds() -> str:
    """Return the table of the kinds of lines."""
    rows = ["| target | leads to |", "| --- | --- |"]
    rows += [f"| `{kind.form}` | {kind.summary} |" for kind in KINDS]
    return "\n".join(rows) + "\n"


def messages_table() -> str:
    """Return the table of the messages between processes."""
    rows = []
    for title, kinds in DIRECTIONS:
        rows += [f"| {title} | answered with | |", "| --- | --- | --- |"]
        for kind in kinds:
            answer = answer_name(kind)
            summary = (kind.__doc__ or "").splitlines()[0]
            rows.append(f"| `{kind.__name__}` | {f'`{answer}`' if answer else ''} | {summary} |")
        rows.append("")
    return "\n".join(rows)


TABLES: Final = (
    (ROOT / "README.md", "settings"),
    (DOCS / "lines.md", "kinds of lines"),
    (DOCS / "architecture.md", "messages"),
)
MAKERS: Final = {
    "settings": configuration.readme_table,
    "kinds of lines": line_kinds,
    "messages": messages_table,
}


def _lay_out(schema: dict[str, Any]) -> str:
    """Return a JSON Schema with a line for each action and for each field."""
    actions = ",\n".join(json.dumps(one) for one in schema["oneOf"])
    fields = ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in schema["$defs"].items())
    head = json.dumps({key: value for key, value in schema.items() if key not in {"oneOf", "$defs"}})
    return f'{head[:-1]}, "oneOf": [\n{actions}\n], "$defs": {{\n{fields}\n}}}}\n'


if __name__ == "__main__":
    main()
