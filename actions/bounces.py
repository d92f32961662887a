"""What a refusal of mail means: whose fault it is, judged by its codes and, where these say little, by its words. Pure.

| class | means | examples | consent |
|---|---|---|---|
| hard | this address will never take mail | 5.1.1 no such user, 5.1.2 no such domain, 5.2.1 disabled | becomes `bounced` |
| soft | not now, or not this message | 4.2.2 full, greylisted, 5.3.4 too large | stays |
| block | our reputation, or a policy about senders | 5.7.1 spam, 4.7.0 unusual rate, 5.7.25 no reverse DNS | stays: another sender would get through |
| auth | our login at the relay | 535 5.7.8 | stays |
| other | the server did not say | 550 alone | stays |

The class travels as `class` in the data of a result, of a notice and of the event that they become. Sources: RFC 3463 and the IANA registry
of enhanced status codes (RFC 5248) for codes; the words are those that large receivers publish or are known to use.
"""

from __future__ import annotations

import re

HARD, SOFT, BLOCK, AUTH, OTHER = "hard", "soft", "block", "auth", "other"
CLASSES = (HARD, SOFT, BLOCK, AUTH, OTHER)
BAD = frozenset({HARD, BLOCK})  # what receivers hold against a sender
TEXT_CHARS_MAX = 2_000  # of what a server said

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_ADDRESS = re.compile(r"[^\s<>]+@[^\s<>]+")  # an address may be called anything, so it is no evidence

# Subject and detail of an enhanced code → the class of a permanent refusal. What is not listed (x.0.0, x.1.0, …) leaves it to the words.
_PERMANENT = {
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.4", "1.6", "1.10"), HARD),  # mailbox, system, syntax, ambiguous, moved, null MX
    **dict.fromkeys(("1.7", "1.8", "7.27"), BLOCK),  # the sender's own address
    "2.1": HARD,  # disabled
    **dict.fromkeys(("2.2", "2.3", "2.4", "3.1", "3.4"), SOFT),  # full, too long, list expansion, system full, too big for the system
    **dict.fromkeys(("4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7"), SOFT),  # network and routing, also when it was given up
    **dict.fromkeys(("7.8", "7.9", "7.11"), AUTH),  # credentials, too weak, encryption needed to log in
}
_AUTH_CODES = frozenset({530, 534, 535, 538})
_HARD_CODES = frozenset({521, 551, 556})  # the host or the domain takes no mail (RFC 7504), user not local
_PRESSURE_CODES = frozenset({421, 450, 451, 452})

_NOBODY = re.compile(
    r"(user|mailbox|recipient|account|address|addressee)\b.{0,40}\b(unknown|not found|does ?n[o']t exist|not exist|no longer|invalid|disabled|inactive|unavailable|discontinued)"
    r"|(unknown|invalid|no such|not a (known|valid)|no) (local |virtual )?(user|mailbox|recipient|account|addressee|person)"
    r"|does ?n[o']t have an? .{1,60}account|no mailbox (here )?by that name|nosuchuser|(host|domain)( name)? (not found|does not exist)|null mx",
    re.IGNORECASE,
)
_REPUTATION = re.compile(
    r"spam|unsolicited|black ?-?list|block ?-?list|\b(dns)?[rd]bl\b|blocked (using|by|for|due|because)|(has been|was|is|been) blocked|banned|reputation|bulk mail"
    r"|unusual rate|user complaints|too many complaints|poor sender|sender (address )?(rejected|verify failed)|sender domain|(fails?|failed|failure)\b.{0,40}\b(spf|dkim|dmarc)"
    r"|\b(spf|dkim|dmarc)\b.{0,40}\b(fail|reject|policy|not pass)|reverse (dns|lookup)|\bptr\b|not accepting mail from (you|your)|messages? from .{1,60} (weren't sent|temporarily deferred)",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"over ?quota|quota (exceeded|full)|(mailbox|inbox|storage)( is)? full|exceeded storage|insufficient (system )?storage|too (big|large)|size (limit|exceeds)",
    re.IGNORECASE,
)
_GREYLISTED = re.compile(r"gr[ea]y ?-?list", re.IGNORECASE)
_LOGIN = re.compile(r"authentication (required|failed|failure|credentials)|auth(entication)? required", re.IGNORECASE)


def classify(code: int, enhanced: str, text: str) -> str:
    """The class of a refusal: `code` is SMTP's (0: not known), `enhanced` like `5.1.1` ("" is looked for in the text), `text` what the server said."""
    kind, detail = _parts(enhanced or text)
    words = _ADDRESS.sub(" ", text[:TEXT_CHARS_MAX])
    if code in _AUTH_CODES or detail in {"7.8", "7.9", "7.11"} or (detail.startswith("7.") and _LOGIN.search(words)):
        return AUTH
    if _GREYLISTED.search(words):
        return SOFT
    if code // 100 == 4 or (not code and kind == "4"):
        return BLOCK if detail.startswith("7.") or _REPUTATION.search(words) else SOFT
    return _permanent(code, detail, words)


def _permanent(code: int, detail: str, words: str) -> str:
    """To take a block for a hard bounce loses a contact for good, the reverse costs one more message: so words about reputation go before codes."""
    known = _PERMANENT.get(detail)
    if known in {SOFT, BLOCK, AUTH}:
        return known
    if _REPUTATION.search(words):
        return BLOCK
    if known or _NOBODY.search(words) or code in _HARD_CODES:
        return HARD
    if detail.startswith("7."):
        return BLOCK
    if code == 552 or _FULL.search(words):
        return SOFT
    return OTHER


def asks_to_slow_down(code: int, enhanced: str, text: str) -> bool:
    """Whether a temporary refusal is about our pace and not about one mailbox: a full mailbox or greylisting is no reason to slow a domain down."""
    if code not in _PRESSURE_CODES:
        return False
    _, detail = _parts(enhanced or text)
    return not detail.startswith(("1.", "2.", "6.")) and not _GREYLISTED.search(text[:TEXT_CHARS_MAX])


def enhanced_of(text: str) -> str:
    """The first enhanced status code in a text, "" where there is none."""
    found = _ENHANCED.search(text[:TEXT_CHARS_MAX])
    return found[0] if found else ""


def _parts(text: str) -> tuple[str, str]:
    """Class digit and `subject.detail` of the first enhanced code in a text."""
    found = _ENHANCED.search(text[:TEXT_CHARS_MAX])
    return (found[1], f"{int(found[2])}.{int(found[3])}") if found else ("", "")
