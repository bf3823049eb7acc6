"""Documents hold the numbers of the JSON files."""

import json

import pytest

import make_docs


def test_the_documents_are_up_to_date():
    make_docs.main(make_docs.Config(check=True))


def test_a_stale_number_is_found_and_written(tmp_path, monkeypatch):
    monkeypatch.setattr(make_docs, "ROOT", tmp_path)
    (tmp_path / "figures").mkdir()
    content = {"result": {"errors": [1.0, 2.5e-6]}}
    (tmp_path / "figures" / "x.json").write_text(json.dumps(content))
    row = "<!--x errors/1 .1e-->{}<!--/--> | <!--x 1000 * errors .4g-->{}<!--/--> |"
    (tmp_path / "README.md").write_text(row.format("3.0e-06", "1"))
    with pytest.raises(ValueError, match=r"make_docs\.py`: README\.md"):
        make_docs.main(make_docs.Config(check=True))
    make_docs.main(make_docs.Config())
    text = (tmp_path / "README.md").read_text()
    assert text == row.format("2.5e-06", "1000 | 0.0025")
    make_docs.main(make_docs.Config(check=True))
