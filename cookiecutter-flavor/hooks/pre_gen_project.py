"""Refuse answers that cannot become a flavor, with a sentence, before anything is made."""

import json
import keyword
import re
import sys

NAME = json.loads(r'''{{cookiecutter.name | tojson}}''')
SUMMARY = json.loads(r'''{{cookiecutter.summary | tojson}}''')
AUTHOR = json.loads(r'''{{cookiecutter.author | tojson}}''')

OURS = ("memory", "sqlite", "mysql", "kubeflow", "kubernetes")
LONGEST_NAME = 24
LONGEST_LINE = 80


def problem_of_name(name):
    """What is wrong with the name of a flavor; None where nothing is."""
    if not name.strip():
        return "a flavor has a name, and none was given: such as redis, or json-lines"
    if name.startswith("metastore"):
        return (
            f"{name!r} begins with what all distributions of flavors begin with: give the name "
            "alone, such as redis for metastore-flavor-redis"
        )
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        return (
            f"{name!r} is no name of a flavor: it is made of lower-case letters and digits, with "
            "single hyphens between them, and begins with a letter"
        )
    if name in OURS:
        return (
            f"{name!r} is a flavor already, of metastore itself: of two flavors with one name "
            "neither can be used; choose another"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return f"{name!r} is a word of Python's own, which no name can be: choose another"
    if name.replace("-", "_") in getattr(sys, "stdlib_module_names", ()):
        return (
            f"{name!r} is a module of Python's standard library, for which the flavor would be "
            f"taken: choose another, such as {name}-store"
        )
    if len(name) > LONGEST_NAME:
        return f"{name!r} is longer than {LONGEST_NAME} characters: choose a shorter one"
    return None


def problem_of_line(what, text):
    """What is wrong with a text that stands in one line; None where nothing is."""
    if not text.strip() or text != text.strip():
        return f"the {what} is empty, or has spaces at its ends: write one line"
    if not text.isprintable():
        return f"the {what} holds a line end, a tab or another control character: write one line"
    if len(text) > LONGEST_LINE:
        return f"the {what} is longer than {LONGEST_LINE} characters: write one short line"
    return None


problems = [
    problem
    for problem in (
        problem_of_name(NAME),
        problem_of_line("summary", SUMMARY),
        problem_of_line("author", AUTHOR),
    )
    if problem is not None
]
for problem in problems:
    print(f"cookiecutter-flavor: {problem}", file=sys.stderr)
if problems:
    sys.exit(1)
