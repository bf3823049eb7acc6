"""Tables and standardizing."""

import numpy as np
import pytest

from jaxbp.fitting import read_table, standardizer


def test_standardizing_and_back():
    values = np.random.default_rng(0).normal([3, -1e3], [0.1, 50], (1000, 2))
    measured = standardizer(values, ("a", "b"))
    standard = measured.standardize(values)
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(standard.std(0), 1, rtol=1e-12)
    np.testing.assert_allclose(measured.restore(standard), values, rtol=1e-13)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_what_is_constant_does_not_depend_on_the_unit(unit):
    generator = np.random.default_rng(0)
    values = unit * np.column_stack(
        [1 + 1e-3 * generator.standard_normal(7), np.full(7, 1 / 3), np.full(7, 0.1)]
    )
    scaler = standardizer(values)
    np.testing.assert_allclose(scaler.scale, [values[:, 0].std(), 1, 1], rtol=1e-12)
    np.testing.assert_array_equal(scaler.mean[1:], values[0, 1:])


def test_a_constant_column_has_to_be_named_to_be_refused():
    values = np.column_stack([np.arange(3.0), np.full(3, 0.1)])
    with pytest.raises(
        ValueError, match=r"column b must vary to be standardized, got 0\.1 in every row"
    ):
        standardizer(values, ("a", "b"))
    scaler = standardizer(values)
    np.testing.assert_array_equal(scaler.scale, [values[:, 0].std(), 1])
    np.testing.assert_allclose(scaler.standardize(values)[:, 1], 0, atol=1e-15)


def test_all_columns_of_a_table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b,c,d\n1,2,3,4\n")
    table, names = read_table(path, "all")
    assert (table.tolist(), names) == ([[1, 2, 3, 4]], ("a", "b", "c", "d"))
    assert read_table(path)[1] == ("a", "b", "c")


def test_csv_files_of_spreadsheets(tmp_path):
    """A byte-order mark, spaces around names, quotes, Windows line ends, an empty last line."""
    path = tmp_path / "mit Leerzeichen ü.csv"
    path.write_bytes('\ufeffz , y,"x"\r\n"1.5",2e3,-3\r\n4,5,6\r\n\r\n'.encode())
    table, names = read_table(path, ("x", "y", "z"))
    assert names == ("x", "y", "z")
    np.testing.assert_array_equal(table, [[-3, 2000, 1.5], [6, 5, 4]])
    assert read_table(path)[1] == ("z", "y", "x")


def test_a_separator_inside_a_cell_is_no_number(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("x,y,z\n1;5,2,3\n")
    with pytest.raises(ValueError, match=r"row 2, column x: '1;5' is not a number|is a text"):
        read_table(path)
