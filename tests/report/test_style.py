from __future__ import annotations

import pytest
from reportlab import rl_config
from reportlab.lib.utils import open_for_read
from reportlab.platypus import Paragraph

from skinaudit.report import style


@pytest.fixture(autouse=True)
def _fonts() -> None:
    style.register_fonts()


def test_markup_in_outside_text_is_text() -> None:
    assert style.text('<img src="http://x"/> & <b>') == '&lt;img src="http://x"/&gt; &amp; &lt;b&gt;'
    assert Paragraph(style.text('<img src="http://x"/>'), style.BODY).getPlainText() == '<img src="http://x"/>'


def test_characters_without_a_glyph_are_spelled_or_marked() -> None:
    assert style.printable("ε = 8, 黑色素瘤 → é") == "epsilon = 8, ???? to é"
    assert style.printable("\ufb01n") in ("ﬁn", "fin")


def test_characters_that_turn_text_around_are_dropped() -> None:
    assert style.printable("be\u202enign\u0000\u200b") == "benign"


def test_long_text_is_cut_and_lines_are_joined() -> None:
    assert style.printable("a\n\t b") == "a b"
    assert style.printable("x" * 1000, 10) == "xxxxxxxxx…"
    assert style.printable("8\u00a0%") == "8\u00a0%"


def test_no_address_is_opened_while_a_report_is_made() -> None:
    before = rl_config.trustedHosts, rl_config.trustedSchemes
    with style.nothing_loaded_from_markup():
        for address in ("data:text/plain,hello", "file:///etc/hostname", "http://localhost/x"):
            with pytest.raises(OSError, match="Cannot open"):
                open_for_read(address)
    assert (rl_config.trustedHosts, rl_config.trustedSchemes) == before
