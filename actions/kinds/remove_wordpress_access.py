"""`remove_wordpress_access`: takes a level's role away from the contact's WordPress user, if there is one."""

from __future__ import annotations

from typing import ClassVar

from actions.wordpress_access import WordpressAccess


class RemoveWordpressAccess(WordpressAccess, frozen=True, kw_only=True):
    """Only that role goes. A user who is left without any role stays a user, who may log in and see nothing."""

    kind: ClassVar[str] = "remove_wordpress_access"
    give: ClassVar[bool] = False
