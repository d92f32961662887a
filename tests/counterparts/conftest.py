"""When tests against counterparts run: if they are asked for by name (`make test-counterparts`, or a path on the command line).

The whole default suite needs none of them, so there they skip; and a tool that is missing skips its tests, or fails them under CI.
"""

from __future__ import annotations

import pytest

from tests.counterparts.needs import in_ci, missing

ELSEWHERE = "runs in `make test-counterparts`"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    marks = list(item.iter_markers("needs"))
    if marks and item.config.args_source is not pytest.Config.ArgsSource.ARGS:
        pytest.skip(ELSEWHERE)
    absent = missing(tuple(dict.fromkeys(tool for mark in marks for tool in mark.args)))
    if absent:
        reason = f"{', '.join(absent)} not installed: run `make counterparts`"
        if in_ci():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
