"""What becomes of one text: what is taken out, what stays, what is kept of a long one."""

from collections import Counter
from typing import Any

import pytest

from sentinel.errors import SettingsError
from sentinel.intake import IntakeSettings, Pattern
from sentinel.intake.metadata import MetadataCleaner
from sentinel.intake.texts import PLACEHOLDER, TextCleaner


def cleaner_of(**changes: Any) -> TextCleaner:
    return TextCleaner(IntakeSettings(**changes), b"k" * 32)


def clean(text: str, **changes: Any) -> str:
    """Return the text with placeholders shown by their kind alone, cleaned twice to be sure."""
    cleaner = cleaner_of(**changes)
    once = cleaner.clean(text, Counter())
    assert once is not None
    assert cleaner.clean(once, Counter()) == once
    return PLACEHOLDER.sub(lambda found: found[0].split(":")[0] + "]", once)


def metadata_of(metadata: dict[str, Any], **changes: Any) -> dict[str, Any] | None:
    settings = IntakeSettings(**changes)
    cleaner = MetadataCleaner(
        TextCleaner(settings, b"k" * 32),
        settings.sanitize_patterns,
        max_length=settings.max_text_length,
        secrets=settings.enable_sanitization,
        texts_kept=settings.content != "none",
    )
    once = cleaner.clean(metadata, Counter())
    assert once is None or cleaner.clean(once, Counter()) == once
    return once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=hunter2 ok", "password=[SECRET] ok"),
        ("PassWord : hunter2", "PassWord : [SECRET]"),
        ('{"api_key": "sk 1", "n": 2}', '{"api_key": "[SECRET]", "n": 2}'),
        (r"{\"api_key\": \"sk 1\", \"n\": 2}", r"{\"api_key\": \"[SECRET]\", \"n\": 2}"),
        (r'secret="a\"b" c', 'secret="[SECRET]" c'),
        ("client_secret_key='a b' c", "client_secret_key='[SECRET]' c"),
        ("apikey => abc", "apikey => [SECRET]"),
        ("https://x/?api-key=abc&y=1 z", "https://x/?api-key=[SECRET]&y=1 z"),
        ('secret = "never closed, to the end', 'secret = "[SECRET]'),
        ("the password is not here", "the password is not here"),
        ("password=", "password="),
        ("two secret=a b secret=c", "two secret=[SECRET] b secret=[SECRET]"),
        ("<password>hunter2</password>", "<password>[SECRET]</password>"),
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [SECRET]"),
        ("postgres://u:pw123@host/db", "postgres://u:[SECRET]@host/db"),
        ("password: must have 8 letters", "password: must have 8 letters"),
        ("password = get_password()", "password = get_password()"),
        ("password: ${DB_PASSWORD}", "password: ${DB_PASSWORD}"),
        ("my secretary: Jane", "my secretary: Jane"),
    ],
)
def test_the_value_of_a_secret_goes_and_the_rest_stays(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_two_people_stay_two_and_one_stays_one_however_it_is_spelt() -> None:
    cleaner = cleaner_of()

    def of(text: str) -> str | None:
        return cleaner.clean(text, Counter())

    assert of("4111 1111 1111 1111") == of("4111-1111-1111-1111") == of("4111111111111111")
    assert of("A.B@Example.com") == of("a.b@example.com") != of("b.a@example.com")
    assert of("DE89 3704 0044 0532 0130 00") == of("DE89370400440532013000")
    assert of("a@example.com") != TextCleaner(IntakeSettings(), b"j" * 32).clean(
        "a@example.com", Counter()
    )


@pytest.mark.parametrize(
    "forged",
    [
        "[EMAIL:john@example.com]",
        "[CARD:4111111111111111]",
        "[EMAIL:3f9a@example.com]",
        "[SECRET:password=hunter2]",
        "[EMAIL:3F9A]john@example.com",
        "[PHONE:+49 30 1234567]",
        "password=[SECRET:3f9a]hunter2",
        'password="[SECRET:3f9a]hunter2"',
        "[EMAIL:3f9a]4111111111111111",
        "[[EMAIL:3f9a]john@example.com]",
    ],
)
def test_a_text_that_looks_like_a_placeholder_carries_nothing_through(forged: str) -> None:
    cleaned = clean(forged)
    for canary in ("john", "4111", "hunter2", "1234567"):
        assert canary not in cleaned


def test_a_placeholder_stays_as_it_is() -> None:
    text = "[EMAIL:3f9a] password=[SECRET:ab12], [PHONE:1234] [IP:abcd]"
    tally: Counter[str] = Counter()
    assert cleaner_of().clean(text, tally) == text
    assert not tally


def test_a_text_is_redacted_first_and_cut_then() -> None:
    assert clean("0123456789 password=hunter2", max_text_length=20) == "0123456789 password="
    long = "x" * 9_990 + " john@example.com and more"
    cleaned = cleaner_of().clean(long, Counter())
    assert cleaned == "x" * 9_990 + " "


def test_what_a_cut_brings_to_light_is_taken_out_too() -> None:
    # Within a longer word the number is none; cut off from the rest it would be one.
    assert "4111" not in clean("4111111111111111abc", max_text_length=16)


@pytest.mark.parametrize("length", range(0, 60, 3))
def test_a_cut_text_goes_in_again_unchanged(length: int) -> None:
    text = 'a@example.com password="x y" 4111 1111 1111 1111 +49 30 1234567 10.1.2.3 sk-x'
    cleaned = cleaner_of(max_text_length=length).clean(text, Counter())
    assert cleaned is not None
    assert len(cleaned) <= length
    assert cleaner_of(max_text_length=length).clean(cleaned, Counter()) == cleaned


def test_what_cannot_be_scanned_is_dropped_and_counted() -> None:
    tally: Counter[str] = Counter()
    assert cleaner_of().clean("half a pair \ud800", tally) is None
    assert tally == {"UNREADABLE": 1}
    assert metadata_of({"a": "\ud800", "\ud800": 1, "b": 2}) == {"a": "[UNREADABLE]", "b": 2}


def test_configured_patterns_are_taken_out_beside_the_known() -> None:
    patterns = (Pattern(name="BADGE", pattern=r"\bE-\d{4}\b"), Pattern(name="ANY", pattern="é+"))
    text = "badge E-1234, E-5678, caféé, a@example.com"
    assert clean(text, patterns=patterns) == "badge [BADGE], [BADGE], caf[ANY], [EMAIL]"


@pytest.mark.parametrize("pattern", [".", "[0-9a-f]{4}", "", "x*", "[A-Z:]+", r"\W"])
def test_a_pattern_that_matches_placeholders_does_not_get_at_them(pattern: str) -> None:
    cleaned = clean("mail a@example.com 12ab", patterns=(Pattern(name="MINE", pattern=pattern),))
    assert "a@example" not in cleaned


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "a{2000}"])
def test_a_pattern_that_re2_does_not_take_is_told(pattern: str) -> None:
    with pytest.raises(SettingsError, match=r"privacy\.patterns\[0\]"):
        cleaner_of(patterns=(Pattern(name="MINE", pattern=pattern),))


def test_personal_data_and_secrets_are_switched_off_apart() -> None:
    text = "a@example.com password=x1"
    assert clean(text, enable_pii_detection=False) == "a@example.com password=[SECRET]"
    assert clean(text, enable_sanitization=False) == "[EMAIL] password=x1"


@pytest.mark.parametrize(
    "metadata",
    [
        {"note": "john@example.com"},
        {"john@example.com": 1},
        {"phone": "2125551234"},
        {"phone": 2125551234},
        {"card": 4111111111111111},
        {"card": 4111111111111111.0},
        {"a": "x", "b": {"nested": "no"}["nested"], "ssn": "123-45-6789"},
        {"password": "none"},
        {"DB_Password_2": 12345},
        {"ap\u0131-\u212aey": "hunter2"},
        {"note": "pa\u017f\u017fword", "apiKey": True},
        {"secret=hunter2": 1},
    ],
)
def test_metadata_keeps_nothing_personal(metadata: dict[str, Any]) -> None:
    cleaned = repr(metadata_of(metadata))
    for canary in ("john", "212555", "4111", "6789", "'none'", "12345", "hunter2", "True"):
        assert canary not in cleaned


@pytest.mark.parametrize("word", ["x", "-", "é", "my word"])
def test_any_configured_word_names_a_secret_in_metadata(word: str) -> None:
    settings: dict[str, Any] = {"sanitize_patterns": (word,)}
    assert "hunter2" not in repr(metadata_of({f"a {word} b": "hunter2"}, **settings))
    assert metadata_of({"region": "eu"}, sanitize_patterns=("my word",)) == {"region": "eu"}


def test_metadata_without_any_is_kept_as_it_is() -> None:
    metadata = {"region": "eu", "n": 5, "x": 0.25, "flag": True, "nothing": None, "id": "abc-123"}
    assert metadata_of(metadata) is metadata
    assert metadata_of({"password": None}) == {"password": None}


def test_without_content_no_text_of_the_metadata_is_kept() -> None:
    assert metadata_of({"a": "plain", "n": 5, "b": True}, content="none") == {"n": 5, "b": True}
    assert metadata_of({"a": "plain"}, content="none") is None


def test_long_texts_of_metadata_are_cut() -> None:
    assert metadata_of({"a": "x" * 50, "b": 5}, max_text_length=20) == {"a": "x" * 20, "b": 5}
