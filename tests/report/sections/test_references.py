from cellwright.report.bibliography import entries
from cellwright.report.contents import read_contents
from cellwright.report.sections import references

TEXT = """@article{Lopez18, author = {Lopez, Romain and Yosef, Nir}, title = {Deep {scVI}}, journal = {Nat. Methods},
year = {2018}, doi = {10.1/x}}"""


def test_each_citation_of_any_run_stands_once(study, monkeypatch):
    monkeypatch.setattr(references, "references", lambda: entries(TEXT))
    shown = references.context(read_contents(study))["references"]
    assert [reference["key"] for reference in shown] == ["Kingma14", "Lopez18", "Pearson1901"]
    assert shown[1]["text"] == "Romain Lopez, Nir Yosef (2018). Deep scVI. Nat. Methods."
    assert shown[1]["doi"] == "10.1/x"


def test_a_key_without_an_entry_says_so(study, monkeypatch):
    monkeypatch.setattr(references, "references", dict)
    shown = references.context(read_contents(study))["references"]
    assert shown[0] == {"key": "Kingma14", "text": "not in the bibliography of this version.", "doi": ""}
