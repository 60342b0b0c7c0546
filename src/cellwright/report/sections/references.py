"""References: what to cite for the methods that the runs used.

citation keys in run.json -> entries of the package's bibliography
"""

from cellwright.report.bibliography import Reference, references
from cellwright.report.contents import Contents
from cellwright.report.section import Context, Section
from cellwright.report.text import short


def context(contents: Contents) -> Context | None:
    """The references of all runs by key; a key without an entry stands for itself."""
    keys = sorted({str(key) for run in contents.runs for key in run.record.citations})
    known = references()
    return {"references": [_shown(known.get(key) or _unknown(key)) for key in keys]} if keys else None


SECTION = Section("References", context)


def _unknown(key: str) -> Reference:
    return Reference(short(key), "", "", "not in the bibliography of this version", "", "")


def _shown(reference: Reference) -> Context:
    said = [reference.authors, f"({reference.year})" if reference.year else "", reference.title]
    parts = [part for part in (" ".join(filter(None, said[:2])), said[2], reference.venue) if part]
    return {"key": reference.key, "text": ". ".join(part.rstrip(".") for part in parts) + ".", "doi": reference.doi}
