"""When to try again: exponential with jitter, within the life of the effect.

Pure. The jitter is drawn from the effect's id and the attempt, so a retry falls on the same instant wherever it is computed,
and a thousand effects that failed together come back spread out.
"""

from __future__ import annotations

from zlib import crc32

from engine.config import Config


def delay_ms(effect: str, attempt: int, least_ms: int, most_ms: int) -> int:
    """The pause after failed attempt `attempt` (1 is the first): between half of the step and the whole of it.

    The step is `least_ms`, doubled at each attempt, at most `most_ms`.
    """
    step_ms = min(most_ms, least_ms << min(attempt - 1, 40))
    return step_ms // 2 + crc32(f"{effect}.{attempt}".encode()) % (step_ms // 2 + 1)


def next_attempt_ms(effect: str, attempt: int, first_ms: int, now_ms: int, retry_after_ms: int, config: Config) -> int:
    """The time of the next attempt; 0 when the effect is out of attempts or its life would be over.

    `first_ms` is when the effect first could be sent. The provider's Retry-After is a lower bound, itself bounded by `retry_ms_max`.
    """
    if attempt >= config.attempts_max:
        return 0
    due_ms = now_ms + max(delay_ms(effect, attempt, config.retry_ms_min, config.retry_ms_max), min(retry_after_ms, config.retry_ms_max))
    return due_ms if due_ms <= first_ms + config.effect_life_ms else 0
