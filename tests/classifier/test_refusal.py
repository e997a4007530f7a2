from __future__ import annotations

import pytest

from skinaudit.classifier.refusal import MAX_LENGTH, ModelRefused, shown


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Melanom, naevus – 黑色素瘤", "Melanom, naevus – 黑色素瘤"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\n\t b\r", "a b"),
        ("a\x9bb\x00", "a\\x9bb\\x00"),
        ("a\u202eb\u200b", "a\\u202eb\\u200b"),
        ("\ud800\U000e0001", "\\ud800\\U000e0001"),
        ("[bold]a[/bold] <b>", "[bold]a[/bold] <b>"),
        ("", ""),
    ],
)
def test_text_is_shown_on_one_line_and_without_signs_that_act(text: str, plain: str) -> None:
    assert shown(text) == plain
    assert shown(shown(text)) == plain


def test_long_text_is_cut() -> None:
    assert shown("x" * 10, 10) == "x" * 10
    assert shown("x" * 11, 10) == "x" * 9 + "…"
    assert len(shown("\x00" * 10**6)) == MAX_LENGTH


def test_every_refusal_is_one_printable_line() -> None:
    assert str(ModelRefused("bundle: a\x1b\nb")) == "bundle: a\\x1b b"
