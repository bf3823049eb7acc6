"""The pytest file of the page on testing a rule runs."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "en" / "rules" / "pytest.md"


def test_the_file_to_copy_passes():
    code, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(code, names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()
