"""The pages as a browser shows them: nothing logged, nothing clipped, nothing asked of the
network.
"""

import pytest
from browser import BROKEN, CHROMIUM, OUTSIDE, Chromium


@pytest.fixture(scope="module")
def pages(parent, reference, tmp_path_factory):
    """The report of a run, and a comparison of it with itself."""
    folder = tmp_path_factory.mktemp("pages")
    words = (reference, reference, "--out", "c.html")
    assert parent.run(folder, words, command="compare") == 0
    return reference / "report.html", folder / "c.html"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
def test_no_page_complains_or_is_clipped_at_desktop_or_phone_width(pages, tmp_path):
    with Chromium() as browser:
        for page in pages:
            for width, dark in ((1200, False), (390, False), (390, True)):
                browser.open(page.as_uri(), width, dark=dark)
                assert browser.complaints() == []
                assert browser.requests() == [page.as_uri()]
                assert browser.value(OUTSIDE) == []
                assert browser.value(BROKEN) == []
                assert browser.value("document.documentElement.scrollWidth") <= width
                assert browser.value("getComputedStyle(document.body).color") == (
                    "rgb(228, 232, 238)" if dark else "rgb(28, 36, 48)"
                )
        browser.print(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


def test_the_pages_are_made_for_phones_darkness_and_print(pages):
    for page in pages:
        text = page.read_text()
        assert 'name="viewport" content="width=device-width' in text
        assert "prefers-color-scheme: dark" in text
        assert "@media print" in text
        assert "max-width: 100%" in text
        assert text.index('class="verdict') < text.index("<h2>")  # plain words first
