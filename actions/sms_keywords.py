"""STOP, START and HELP: what a whole inbound SMS means by itself, and what follows from it. Pure.

The words are those of the CTIA's guidelines and of Twilio's defaults, in any case, with any punctuation or spaces around and between
their letters; `keywords` of a provider's settings adds those of other languages. STOP ends all SMS at once, START allows them again. A text
that only contains such a word is an ordinary message: a map that listens to `sms_received` may look at it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from actions.feedback import Heard

STOP, START, HELP = "stop", "start", "help"
WORDS: Mapping[str, Sequence[str]] = {
    STOP: ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"),
    START: ("START", "YES", "UNSTOP"),
    HELP: ("HELP", "INFO"),
}
WORD_CHARS_MAX = 40  # of a message that can be a keyword
RECEIVED = "sms.received"
_CONSENT = {STOP: "unsubscribed", START: "subscribed"}


def words_of(more: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Word, as `keyword_of` reads it → keyword; `more` adds words. Raises ValueError for what can't be told from silence or another keyword."""
    found = {_plain(word): keyword for keyword, words in WORDS.items() for word in words}
    for keyword, words in more.items():
        if keyword not in WORDS:
            raise ValueError(f"keywords has stop, start and help, not {keyword!r}")
        for word in words:
            plain = _plain(word)
            if not plain or len(word) > WORD_CHARS_MAX or found.setdefault(plain, keyword) != keyword:
                raise ValueError(f"keywords.{keyword}: {word[:60]!r} is empty, too long, or means {found.get(plain, 'nothing')} already")
    return found


def keyword_of(text: str, words: Mapping[str, str]) -> str:
    """stop, start or help; "" for any other message."""
    return words.get(_plain(text), "") if len(text) <= WORD_CHARS_MAX else ""


def _plain(text: str) -> str:
    """Letters and digits alone, folded: ` Stop. ` and `ＳＴＯＰ` are `stop`."""  # noqa: RUF002 - these wide letters are what is meant
    return "".join(character for character in unicodedata.normalize("NFKC", text).casefold() if character.isalnum())


def received(text: str, sender: str, to: str, keyword: str, notice: str = "") -> Heard:
    """What an inbound message is to its contact: `sms.received`, and the consent that its keyword takes or gives. `notice` names it."""
    data = {"text": text, "from": sender, "to": to, "keyword": keyword}
    consent = {"sms": _CONSENT[keyword]} if keyword in _CONSENT else {}
    return Heard(channel="sms", phone=sender, event=RECEIVED, data=data, consent=consent, tighten=keyword != START, id=notice)
