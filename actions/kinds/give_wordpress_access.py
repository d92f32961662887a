"""`give_wordpress_access`: adds a level's role to the contact's WordPress user, and creates the user where there is none."""

from __future__ import annotations

from typing import ClassVar

from actions.wordpress_access import WordpressAccess


class GiveWordpressAccess(WordpressAccess, frozen=True, kw_only=True):
    """Levels are independent: every other role of the user stays."""

    kind: ClassVar[str] = "give_wordpress_access"
    give: ClassVar[bool] = True
