"""Logs: one JSON object a line on standard error, with a time, a level, and the process that speaks. Secrets never get in.

`log("event", key=value)` by structlog; what other libraries log comes out in the same form.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

SECRET_NAMES = ("key", "secret", "password", "token", "authorization")
# A password within a URL, and the credentials of an Authorization header.
SECRET_TEXTS = re.compile(r"(?i)(://[^/\s:@]*:)[^/\s@]+(?=@)|(\b(?:bearer|basic)\s+)[\w.~+/=-]+")
HIDDEN = "********"


def without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide values whose names say that they are secret, and credentials within texts."""
    for name, value in event.items():
        if name.lower().endswith(SECRET_NAMES):
            event[name] = HIDDEN
        elif isinstance(value, str):
            event[name] = SECRET_TEXTS.sub(lambda found: (found[1] or found[2]) + HIDDEN, value)
    return event


def set_up_logs(level: str, process: str) -> None:
    """Send every log of this process to standard error as JSON, from `level` on (debug, info, warning, error)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.contextvars.bind_contextvars(process=process)


def logger(name: str) -> Any:
    """The logger of one part of the program."""
    return structlog.stdlib.get_logger(name)
