"""Tables as people have them: each is read exactly, or refused in one line that names the place."""

import csv
import io
import sys
import warnings

import numpy as np
import pytest

from jaxbp import __main__ as command
from jaxbp.fitting import read_table

NAMES = ["mass", "größe", "time"]
VALUES = np.round(np.random.default_rng(0).uniform(-90, 90, (6, 3)), 4)
VALUES[:, 1] = 1234.25 + 1000 * np.arange(6)


def cells(values=VALUES):
    return [[repr(float(value)) for value in row] for row in values]


def with_cell(row, column, text):
    rows = cells()
    rows[row][column] = text
    return rows


def commas(text, grouped=False):
    """A number as it is written in Germany."""
    whole, _, part = text.partition(".")
    if grouped and len(whole) > 3:
        whole = f"{whole[:-3]}.{whole[-3:]}"
    return f"{whole},{part}"


def english(text):
    whole, _, part = text.partition(".")
    return f"{int(whole):,}.{part}" if len(whole) > 3 else text


TEXTS = [[*row[:2], kind, row[2]] for row, kind in zip(cells(), "abcaba", strict=True)]
WITH_TEXTS = ["mass", "größe", "kind", "time"]
ONE_HOT = np.column_stack(
    [VALUES[:, :2], [[kind == one for one in "abc"] for kind in "abcaba"], VALUES[:, 2]]
)
NUMBERED = [[str(i + 1), *row] for i, row in enumerate(cells())]
# Lines, options, and the numbers or the message.
KINDS = {
    "plain": ([NAMES, *cells()], {}, VALUES),
    "missing": ([NAMES, *with_cell(2, 1, "NA")], {}, "row 4, column größe: the value is missing"),
    "missing left out": (
        [NAMES, *with_cell(2, 1, "")],
        {"drop_missing": True},
        np.delete(VALUES, 2, axis=0),
    ),
    "text": ([WITH_TEXTS, *TEXTS], {}, "row 2, column kind: 'a' is a text and not a number"),
    "one-hot": ([WITH_TEXTS, *TEXTS], {"categories": "one-hot"}, ONE_HOT),
    "a wrong cell": ([NAMES, *with_cell(4, 2, "12o")], {}, "row 6, column time: '12o' is not a"),
    "date": ([NAMES, *with_cell(0, 0, "2024-05-01")], {}, "column mass: '2024-05-01' is a date"),
    "units": ([NAMES, ["kg", "mm", "s"], *cells()], {}, VALUES),
    "comments": ([["# from a rig"], NAMES, *cells()[:3], ["# pause"], *cells()[3:]], {}, VALUES),
    "title": ([["Rig 7"], [], NAMES, *cells()], {"skip_rows": 1}, VALUES),
    "decimal commas": ([NAMES, *([commas(c) for c in row] for row in cells())], {}, VALUES),
    "thousands": ([NAMES, *([commas(c, True) for c in row] for row in cells())], {}, VALUES),
    "english": ([NAMES, *([english(c) for c in row] for row in cells())], {}, VALUES),
    "both signs": ([NAMES, *with_cell(3, 1, "1,5")], {}, "must have one decimal sign"),
    "row numbers": ([["run", *NAMES], *NUMBERED], {}, VALUES),
    "a short row": ([NAMES, *cells()[:2], ["1", "2"]], {}, "row 4: 2 fields under 3 names"),
    "no names": (cells(), {}, "row 1 must hold names, got numbers"),
}


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["commas", "semicolons", "tabs"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_read_exactly_or_refused_with_its_place(kind, encoding, separator, tmp_path):
    lines, options, wanted = KINDS[kind]
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(lines)
    path = tmp_path / "table.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    if isinstance(wanted, str):
        with pytest.raises(ValueError, match=wanted) as caught:
            read_table(path, "all", **options)
        assert "\n" not in str(caught.value)
        return
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        table, names = read_table(path, "all", **options)
    np.testing.assert_array_equal(table, wanted)
    assert (names[0], names[1], names[-1]) == tuple(NAMES)
    assumed = {"units", "row numbers", "decimal commas", "thousands", "missing left out"}
    assert len(notes) == (kind in assumed)


@pytest.mark.parametrize("text", ["x;y\n1.234;2\n2.500;3\n", 'x,y\n"1,234",2\n"12,500",3\n'])
def test_what_can_be_read_in_two_ways_is_refused(text, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"row 2, column x: '1.234' may have a decimal sign or"):
        read_table(path, "all")
    sign = "," if "." in text else "."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_table(path, "all", decimal=sign)[0][0, 0] == 1234
        other = read_table(path, "all", decimal="." if sign == "," else ",")
    assert other[0][0, 0] == 1.234


def test_texts_at_prediction_must_be_known_from_the_fit(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("kind,x\nb,1\nb,2\n")
    table, names = read_table(path, ("x", "kind=a", "kind=b"))
    np.testing.assert_array_equal(table, [[1, 0, 1], [2, 0, 1]])
    assert names == ("x", "kind=a", "kind=b")
    path.write_text("kind,x\nb,1\nc,2\n")
    with pytest.raises(ValueError, match=r"row 3, column kind: 'c' must be one of \['a', 'b'\]"):
        read_table(path, ("x", "kind=a", "kind=b"))


def test_the_header_that_numpy_writes_and_spaces(tmp_path):
    path = tmp_path / "table.txt"
    np.savetxt(path, VALUES, header="x y z")
    table, names = read_table(path, "all")
    np.testing.assert_array_equal(table, VALUES)
    assert names == ("x", "y", "z")


def test_a_spreadsheet(tmp_path):
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("openpyxl")
    path = tmp_path / "table.xlsx"
    frame = pandas.DataFrame(VALUES, columns=NAMES)
    frame.to_excel(path, index=False)
    table, names = read_table(path, "all")
    np.testing.assert_array_equal(table, VALUES)
    assert names == tuple(NAMES)
    frame.assign(day=pandas.Timestamp("2024-05-01")).to_excel(path, index=False)
    with pytest.raises(ValueError, match=r"row 2, column day: .*2024-05-01.* is a date"):
        read_table(path, "all")


def test_without_pandas_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    path = tmp_path / "table.xlsx"
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"pip install 'jaxbp\[tables\]'"):
        read_table(path, "all")


def test_the_command_tells_how_it_read_and_predicts_from_texts(tmp_path, capsys):
    generator = np.random.default_rng(0)
    x, kinds = generator.uniform(0, 1, 40), generator.choice(["steel", "brass"], 40)
    rows = [
        f"{i};{a:.6f};{kind};{2 * a + (kind == 'steel'):.6f}"
        for i, (a, kind) in enumerate(zip(x, kinds, strict=True))
    ]
    path, model = tmp_path / "runs.csv", tmp_path / "model.npz"
    path.write_text("\n".join(["run;load;material;sag", "-;kN;;mm", *rows]).replace(".", ","))
    flags = ["--categories", "one-hot", "--seconds", "2", "--out", str(model)]
    assert command.main(["fit", str(path), *flags]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(
        f"sag predicted from load, material=brass, material=steel: 40 rows of {path}\n"
    )
    assert "row 2 is taken for units (-, kN, , mm)" in told.err
    assert "column run only numbers the rows and is left out" in told.err
    assert told.err.count("\n") == 2
    points = tmp_path / "points.csv"
    points.write_text("material,load\nsteel,0.5\nbrass,0.5\n")
    assert command.main(["predict", str(model), str(points)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("load,material=brass,material=steel,sag")
    predicted = [float(line.split(",")[3]) for line in lines[1:]]
    np.testing.assert_allclose(predicted, [2, 1], rtol=0, atol=0.05)
