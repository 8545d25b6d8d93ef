"""The page in a real browser: it opens without a complaint, and a narrow screen can hold it."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from small_run import QUICK_STUDY

from farzi.cli import main

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = [
    *["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
    *["--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--dump-dom", "--hide-scrollbars"],
]

FRAME = """<!doctype html>
<iframe style="width: 360px; height: 800px; border: 0" srcdoc="{page}"></iframe>
<script>
document.querySelector("iframe").onload = event => {{
  const page = event.target.contentDocument;
  const pictures = [...page.querySelectorAll("svg")].map(one => one.getBoundingClientRect());
  const found = {{
    width: page.documentElement.clientWidth,
    needed: Math.max(page.documentElement.scrollWidth, page.body.scrollWidth),
    pictures: pictures.map(one => [one.width, one.height]),
    title: page.querySelector("h1").textContent,
  }};
  document.body.textContent = JSON.stringify(found);
}};
</script>
"""
"""A page of its own, as narrow as a telephone; scripts are forbidden in the page itself."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


def opened(page: str, folder: Path) -> tuple[dict, list[str]]:
    """What the browser found, and what it wrote to its console."""
    (folder / "frame.html").write_text(FRAME.format(page=html.escape(page)), encoding="utf-8")
    words = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", (folder / "frame.html").as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    content = re.search(r"<body>(.*)</body>", done.stdout, re.DOTALL)
    assert content is not None
    return json.loads(html.unescape(content[1])), re.findall(r"CONSOLE.*", done.stderr)


def test_a_page_opens_and_fits_a_narrow_screen(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "a run with quite a long name, and-without-any-spaces-in-half-of-it")
    assert main(["evaluate", str(run), *QUICK_STUDY]) == 0
    assert main(["report", str(run), str(finished), "-o", str(tmp_path / "page.html")]) == 0
    found, complaints = opened((tmp_path / "page.html").read_text(encoding="utf-8"), tmp_path)
    assert complaints == []
    assert found["title"] == "2 runs of farzi"
    assert (found["width"], found["needed"]) == (360, 360)
    assert len(found["pictures"]) == 10
    assert all(200 < width <= 360 and height > 100 for width, height in found["pictures"])


def test_the_browser_would_tell(tmp_path):
    """What the test above would see of a page that is broken."""
    page = '<!doctype html><h1>x</h1><svg></svg><pre style="width: 999px">x</pre><script>console.error("oops")</script>'
    found, complaints = opened(page, tmp_path)
    assert len(complaints) == 1
    assert found["needed"] > 900
