"""Numbers and foreign texts are written as meant, and nothing steers a terminal."""

import csv
import io
import unicodedata

import numpy as np
import pytest

from jaxbp._html import table
from jaxbp._text import clean, csv_cell, number, summary, typeset


def test_numbers():
    assert [number(value) for value in (-0.0, 1 / 3, -1.5e-9, np.float32(2))] == [
        *("0", "0.3333", "-1.5e-09", "2")
    ]
    assert [typeset(value) for value in (-0.0, -1.5e-9, 1e12)] == ["0", "−1.5×10⁻⁹", "1×10¹²"]


def test_arrays():
    assert summary(np.array([1.0, -2.5])) == "1, -2.5"
    assert summary(np.array(True)) == "1"
    assert summary(np.full((2, 8), 3.0)) == "[2, 8], norm 12"
    assert summary(np.full(5, 1e300)) == "[5], norm inf"
    assert summary(np.array(["a"])) == "<U1[1]"


@pytest.mark.parametrize(
    "text",
    ["\x1b[31mred\x07", "a\nb\r\tc", "\x9b2J", "\u202egpj.exe", "a\u2028b", "\ud800", "\x00"],
)
def test_no_text_steers_a_terminal_or_breaks_a_line(text):
    for made in (clean(text), csv_cell(text)):
        assert not {unicodedata.category(c) for c in made} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        made.encode()
    assert clean(text) in table(("name",), [(text,)])
    assert clean("größe [mm] 长度") == "größe [mm] 长度"


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", " =1", "\t=1"])
def test_no_cell_is_a_formula(text):
    buffer = io.StringIO()
    csv.writer(buffer).writerow([csv_cell(text)])
    assert buffer.getvalue()[0] not in "=+-@\t "
    assert csv_cell("x_1") == "x_1"
