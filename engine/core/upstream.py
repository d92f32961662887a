"""Who stands upstream of a goal: the elements that lead to it through what follows them, or through a `go_to` further down.

A `go_to` upwards leads nowhere here. An `end` inside a branch stands before what follows that branch; an `exit` does not.
"""

from __future__ import annotations

from engine.core.automation_map import Element, End, Exit, Fork, Goal, GoTo
from engine.core.parse_elements import branches, walk

NONE = -1


class Graph:
    """The elements of one map, numbered in the order of the document, with what follows each."""

    def __init__(self, path: list[Element]) -> None:
        self.elements = [*walk(path)]
        self.at = {id(element): index for index, element in enumerate(self.elements)}
        self.index = {element.id: index for index, element in enumerate(self.elements)}
        self.follows = [NONE] * len(self.elements)
        self.starts: list[list[int]] = [[] for _ in self.elements]  # where the paths inside an element begin
        self._link(path, NONE)

    def _link(self, path: list[Element], after: int) -> None:
        """`after` is what follows this path, NONE for one that does not join."""
        for element, following in zip(path, [*path[1:], None], strict=False):  # of an empty path, nothing
            index = self.at[id(element)]
            self.follows[index] = after if following is None else self.at[id(following)]
            joins = NONE if isinstance(element, Fork) else self.follows[index]
            for inner in branches(element):
                self.starts[index].append(self.at[id(inner[0])] if inner else joins)
                self._link(inner, joins)

    def _leads_to(self, index: int) -> set[int]:
        match self.elements[index]:
            case GoTo(target=target):
                found = self.index.get(target, NONE)
                return {found} if found > index else set()
            case Exit():
                return set()
            case Goal():
                return {self.follows[index], *self.starts[index]}
            case End():
                return {self.follows[index]}
            case _:
                return {*self.starts[index]} or {self.follows[index]}

    def upstream(self, goal: int) -> frozenset[int]:
        """The elements upstream of one."""
        before: dict[int, list[int]] = {}
        for index in range(len(self.elements)):
            for target in self._leads_to(index):
                before.setdefault(target, []).append(index)
        found: set[int] = set()
        ahead = [goal]
        while ahead:
            for index in before.get(ahead.pop(), ()):
                if index not in found:
                    found.add(index)
                    ahead.append(index)
        return frozenset(found - {goal})

    def siblings(self, goal: int) -> frozenset[int]:
        """The goals that open the other paths of the fork whose path this goal opens."""
        for index, element in enumerate(self.elements):
            if isinstance(element, Fork) and goal in self.starts[index]:
                return frozenset(start for start in self.starts[index] if start not in (goal, NONE) and isinstance(self.elements[start], Goal))
        return frozenset()
