from cellwright.report.bibliography import entries

TEXT = r"""
@comment{ignored, title = {no}}
@article{Lopez18,
  author  = {Lopez, Romain and Regier, Jeffrey and Cole, Michael B. and Jordan, Michael I. and Yosef, Nir},
  title   = {Deep generative modeling for {scRNA}-seq},
  journal = "Nature Methods", volume = 15, pages = {1053--1058},
  year = 2018, doi = {10.1038/s41592-018-0229-2}
}
@book{H07, author = {Hilbe, Joseph M. and others}, title = {N{\"o}gative b\'{i}nomial \& more},
  publisher = {CUP}, year = {2011}}
"""


def test_entries_are_read_with_their_fields():
    reference = entries(TEXT)["Lopez18"]
    assert reference.authors == "Romain Lopez, Jeffrey Regier, Michael B. Cole, et al."
    assert reference.title == "Deep generative modeling for scRNA-seq"
    assert (reference.venue, reference.year, reference.doi) == (
        "Nature Methods 15, 1053–1058",
        "2018",
        "10.1038/s41592-018-0229-2",
    )


def test_accents_and_escapes_become_letters():
    reference = entries(TEXT)["H07"]
    assert (reference.title, reference.authors) == ("Nögative bínomial & more", "Joseph M. Hilbe, et al.")


def test_a_preprint_says_where_it_stands():
    text = "@misc{U18, title = {A ``quoted'' title}, eprint = {1802.03426}, archiveprefix = {arXiv}}"
    assert entries(text)["U18"].venue == "arXiv 1802.03426"
    assert entries(text)["U18"].title == "A “quoted” title"


def test_comments_are_no_entries():
    assert list(entries(TEXT)) == ["Lopez18", "H07"]


def test_a_truncated_file_gives_what_is_there():
    assert entries("@article{K, title = {Half a").keys() == {"K"}
