"""The mark of a test that proves an action of the specification: `@proves("send_email", "Postfix's smtp-sink", "one mail, with its subject")`.

README's table is made of these marks on tests that passed; see table.py. A test may prove several actions: one decorator each.
"""

from __future__ import annotations

import pytest

from actions.registry import load_registry


def proves(action: str, counterpart: str, asserts: str) -> pytest.MarkDecorator:
    """`action` is a kind of actions/kinds; `counterpart` says with what, as a reader of the README would call it; `asserts` is what was
    asserted, in half a sentence without a full stop. ValueError for a kind that does not exist or text that would break a table.
    """
    if action not in load_registry():
        raise ValueError(f"{action} is no kind in actions/kinds")
    for text in (counterpart, asserts):
        if not text.strip() or set(text) & set("|\r\n"):
            raise ValueError(f"not a cell of a table: {text!r}")
    return pytest.mark.proves(action=action, counterpart=counterpart, asserts=asserts)
