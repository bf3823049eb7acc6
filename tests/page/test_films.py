"""The pages in a real browser, where one is installed: opened without a network, and clicked."""

import re
import subprocess

import numpy as np
import pytest
from browser import BROWSER

from jaxbp import viz
from jaxbp.viz import Grid

CLICKS = """
<script>
window.addEventListener("load", () => setTimeout(() => {
  const button = (title) => document.querySelector(`button[title="${title}"]`);
  const slider = document.querySelector("input[type=range]");
  const seen = [];
  const image = () => document.querySelector("img").src;
  const look = () => seen.push(slider.value + ":" + (image().length > 1000));
  look();
  button("Next frame").click(); look();
  button("Next frame").click(); look();
  button("Previous frame").click(); look();
  button("Last frame").click(); look();
  button("First frame").click(); look();
  button("Play").click();
  setTimeout(() => {
    button("Pause").click(); look();
    button("Last frame").click(); button("Play").click(); look();
    const right = new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true });
    document.body.dispatchEvent(right); look();
    document.title = "seen " + seen.join(" ");
  }, 1500);
}, 300));
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="NO CHROMIUM: install one to test the pages")
def test_a_page_plays_pauses_and_steps(tmp_path):
    grid = Grid(np.linspace(0, 1, 5), np.linspace(0, 1, 5))
    true = grid.points.prod(axis=1)
    film = viz.animate_training(grid, [true + 0.1 * k for k in range(4)], [0, 1, 2, 3], true)
    page = viz.save_film(film, tmp_path / "film.html")
    page.write_text(
        page.read_text(encoding="utf-8").replace("</body>", CLICKS + "</body>"), encoding="utf-8"
    )
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=6000",
        "--dump-dom",
    ]
    private = f"--user-data-dir={tmp_path / 'profile'}"
    command = [BROWSER, *flags, private, page.as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    title = re.search(r"<title>seen ([^<]*)</title>", dumped)
    assert title, dumped[:300]
    seen = [pair.split(":") for pair in title.group(1).split()]
    assert [frame for frame, _ in seen[:6]] == ["0", "1", "2", "1", "3", "0"]
    assert int(seen[6][0]) > 0  # it played
    assert [frame for frame, _ in seen[7:]] == [
        "0",
        "1",
    ]  # play begins again at the end; the arrow keys work at once
    assert all(shown == "true" for _, shown in seen)
