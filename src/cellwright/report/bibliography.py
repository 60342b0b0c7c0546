r"""Bibliography: the entries of `docs/references.bib`, read with as much BibTeX as such a file needs.

text -entries-> {key: Reference}; values in braces or quotes, accents as in `{\"o}`; no macros, no crossref
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PLACES = (
    Path(__file__).with_name("references.bib"),  # in a wheel
    Path(__file__).parents[3] / "docs" / "references.bib",  # in a checkout
)
_ENTRY = re.compile(r"@(\w+)\s*\{\s*([^,\s}]+)\s*,")
_FIELD = re.compile(r"\s*,?\s*(\w+)\s*=\s*")
_ACCENT = re.compile(r"\\([\"'`^~cv])\s*\{?\\?([A-Za-z])\}?")
_COMBINING = {'"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", "c": "\u0327", "v": "\u030c"}


@dataclass(frozen=True)
class Reference:
    """One entry; empty strings where the file says nothing."""

    key: str
    authors: str
    title: str
    venue: str
    year: str
    doi: str


@cache
def references() -> dict[str, Reference]:
    """The entries of the package's bibliography, by key; none where the file is not there."""
    path = next((path for path in _PLACES if path.is_file()), None)
    return entries(path.read_text(encoding="utf-8")) if path else {}


def entries(text: str) -> dict[str, Reference]:
    """The entries of a BibTeX file, by key."""
    found = {}
    for match in _ENTRY.finditer(text):
        if match[1].lower() not in {"comment", "string", "preamble"}:
            fields = dict(_fields(text, match.end()))
            found[match[2]] = _reference(match[2], fields)
    return found


def _reference(key: str, fields: dict[str, str]) -> Reference:
    authors = [_given_last(name) for name in re.split(r"\s+and\s+", fields.get("author", "")) if name]
    shown = authors if len(authors) <= 4 else [*authors[:3], "et al."]
    return Reference(
        key, ", ".join(shown), fields.get("title", ""), _venue(fields), fields.get("year", ""), fields.get("doi", "")
    )


def _venue(fields: dict[str, str]) -> str:
    """`Nature Methods 15, 1053–1058`, `arXiv 1802.03426`, or what else says where it stands."""
    if "journal" not in fields:
        where = (fields[name] for name in ("booktitle", "publisher", "institution") if name in fields)
        return next(where, " ".join(fields[name] for name in ("archiveprefix", "eprint") if name in fields))
    place = " ".join(filter(None, [fields["journal"], fields.get("volume")]))
    return ", ".join(filter(None, [place, fields.get("pages")]))


def _given_last(name: str) -> str:
    """`Diederik P. Kingma` for `Kingma, Diederik P.`."""
    last, comma, given = name.partition(",")
    if name.strip() == "others":
        return "et al."
    return f"{given.strip()} {last.strip()}" if comma else name.strip()


def _fields(text: str, start: int) -> Iterator[tuple[str, str]]:
    while match := _FIELD.match(text, start):
        value, start = _value(text, match.end())
        yield match[1].lower(), _plain(value)


def _value(text: str, start: int) -> tuple[str, int]:
    """The value at `start` (in braces, in quotes or bare), and where it ends."""
    if text[start] not in '{"':
        match = re.compile(r"[^,}\s]*").match(text, start)
        assert match is not None  # the pattern matches the empty string
        return match[0], match.end()
    closing, depth = ("}", 0) if text[start] == "{" else ('"', 0)
    for end in range(start + 1, len(text)):
        if depth == 0 and text[end] == closing:
            return text[start + 1 : end], end + 1
        depth += {"{": 1, "}": -1}.get(text[end], 0)
    return text[start + 1 :], len(text)


def _plain(value: str) -> str:
    accented = _ACCENT.sub(lambda match: unicodedata.normalize("NFC", match[2] + _COMBINING[match[1]]), value)
    bare = accented
    for written, printed in (("---", "—"), ("--", "–"), ("``", "“"), ("''", "”"), ("\\&", "&"), ("~", " ")):
        bare = bare.replace(written, printed)
    return " ".join(re.sub(r"[{}]", "", bare).split())
