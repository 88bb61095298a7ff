#!/usr/bin/env python3
"""Goldens of the chat template engine: real templates and language snippets, rendered by Python's Jinja2.

usage: chat_templates.py TEMPLATE_FOLDER OUTPUT_FOLDER     (needs the package jinja2, 3.1.6 or later)

Writes OUTPUT_FOLDER/contexts.json (the conversations), one JSON file for each template, and snippets.json.
The environment is the one that Hugging Face's apply_chat_template builds: ImmutableSandboxedEnvironment with trim_blocks and
lstrip_blocks, the loop controls, a `generation` tag, json.dumps as tojson, raise_exception, and a clock, which stands still here.
"""
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

from template_contexts import contexts
from template_snippets import snippet_context, snippets

NOW = datetime.datetime(2025, 3, 4, 5, 6, 7)


class Generation(jinja2.ext.Extension):
    """{% generation %} marks what the assistant said; it changes no text."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_generation"), [], [], body).set_lineno(line)

    def _generation(self, caller):
        return caller()


class Space(jinja2.utils.Namespace):
    """A namespace without attributes that start with an underscore."""

    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            Space._check(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        Space._check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    def __repr__(self):
        return f"<Namespace {self._Namespace__attrs!r}>"

    @staticmethod
    def _check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = NOW.strftime
    made.globals["dict"] = lambda *args, **kwargs: dict(*args, **kwargs)
    made.globals["namespace"] = Space
    return made


def render(source, context):
    """{"text": ...}, or {"error": why}: any Python exception is an error of the template."""
    try:
        return {"text": environment().from_string(source).render(**context)}
    except Exception as failure:  # noqa: BLE001
        return {"error": f"{type(failure).__name__}: {failure}"[:200]}


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def main():
    templates, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    output.mkdir(parents=True, exist_ok=True)
    write(output / "contexts.json", {"now": NOW.isoformat(), "contexts": contexts})
    for path in sorted(templates.glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        cases = {name: render(source, context) for name, context in contexts.items()}
        write(output / (path.stem + ".json"), cases)
    results = [{"template": source, **render(source, snippet_context)} for source in snippets]
    write(output / "snippets.json", {"context": snippet_context, "cases": results})


if __name__ == "__main__":
    main()
