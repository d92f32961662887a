"""STOP, START and HELP in what people write."""

from __future__ import annotations

import pytest

from actions.sms_keywords import keyword_of, received, words_of

WORDS = words_of({})


@pytest.mark.parametrize(
    "text",
    [
        "STOP",
        "stop",
        " Stop. ",
        "STOP!!!",
        "“stop”",
        "stop all",
        "Opt-out",
        "\uff33\uff34\uff2f\uff30",
        "unsubscribe",
        "END",
        "Quit",
        "cancel",
        "REVOKE",
        "\nStop\n",
    ],
)
def test_stop(text: str) -> None:
    assert keyword_of(text, WORDS) == "stop"


@pytest.mark.parametrize(("text", "keyword"), [("start", "start"), ("Yes!", "start"), ("UNSTOP", "start"), ("help", "help"), ("Info?", "help")])
def test_start_and_help(text: str, keyword: str) -> None:
    assert keyword_of(text, WORDS) == keyword


@pytest.mark.parametrize("text", ["", " ", "...", "please stop by", "don't stop", "stopped", "the end", "yes please", "STOP" + " " * 100, "👍"])
def test_other_texts_are_messages(text: str) -> None:
    assert keyword_of(text, WORDS) == ""


def test_settings_add_words_of_other_languages() -> None:
    words = words_of({"stop": ["ARRÊT", "СТОП"], "help": ["ayuda"]})
    assert [keyword_of(text, words) for text in ("arrêt", "стоп", "AYUDA", "stop")] == ["stop", "stop", "help", "stop"]


@pytest.mark.parametrize("more", [{"halt": ["x"]}, {"stop": ["..."]}, {"stop": ["yes"]}, {"start": ["x"], "help": ["X"]}, {"stop": ["x" * 41]}])
def test_words_that_cannot_work_are_refused(more: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError):
        words_of(more)


def test_what_a_keyword_does() -> None:
    stop, start, other = (received(text, "+12025550199", "+12025550100", keyword_of(text, WORDS), "n1") for text in ("stop", "start", "thanks"))
    assert (stop.consent, stop.tighten) == ({"sms": "unsubscribed"}, True)
    assert (start.consent, start.tighten) == ({"sms": "subscribed"}, False)
    assert other.consent == {}
    assert (stop.event, stop.phone, stop.id) == ("sms.received", "+12025550199", "n1")
    assert stop.data == {"text": "stop", "from": "+12025550199", "to": "+12025550100", "keyword": "stop"}
