"""Writes the documents that are made from the code; a test says when that is due."""

import json
from pathlib import Path
from typing import Any

from make_man import command_page, settings_page

from telnetsd.config import documents as configuration
from telnetsd.events.documents import json_schema, page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def main() -> None:
    """Write them."""
    (DOCS / "audit-events.md").write_text(page(), encoding="utf-8")
    (DOCS / "telnetsd.8").write_text(command_page(), encoding="utf-8")
    (DOCS / "telnetsd.toml.5").write_text(settings_page(), encoding="utf-8")
    (DOCS / "configuration.md").write_text(configuration.page(), encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (ROOT / "README.md").write_text(with_table(readme), encoding="utf-8")
    (DOCS / "audit-events.schema.json").write_text(_lay_out(json_schema()), encoding="utf-8")


def with_table(readme: str) -> str:
    """Return README with the present table of settings between its marks."""
    begin, end = "<!-- settings: made by scripts/make-docs -->\n", "<!-- end of settings -->\n"
    before, _, rest = readme.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{configuration.readme_table()}{end}{after}"


def _lay_out(schema: dict[str, Any]) -> str:
    """Return a JSON Schema with a line for each action and for each field."""
    actions = ",\n".join(json.dumps(one) for one in schema["oneOf"])
    fields = ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in schema["$defs"].items())
    head = json.dumps({key: value for key, value in schema.items() if key not in {"oneOf", "$defs"}})
    return f'{head[:-1]}, "oneOf": [\n{actions}\n], "$defs": {{\n{fields}\n}}}}\n'


if __name__ == "__main__":
    main()
