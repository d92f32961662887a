"""Orders and transactions on record: payment plans, subscriptions and trials; charges, declines, what is in collections.

They come in as events, and as facts that come with an outcome. A fact that says what stands already, or is older than what stands, is no
news: it changes nothing and fires nothing, so a provider's own notice of what a map had done sets off nothing twice. A transaction that
is being recharged is marked with the effect, and no second recharge takes it before that one's outcome has come, whatever it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

from engine.core.contact import Order, Transaction
from engine.core.local_time import instant
from engine.core.outcomes import Fact
from engine.core.records import Outcome

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn

CHANNEL = "payments"
CANCELS, RECHARGES = "cancel_open_orders", "recharge_transactions"
NO_ORDERS = "no open orders"
NO_TRANSACTIONS = "no transactions in collections"
UNDER_WAY = "the transactions in collections are being recharged"
TEXT_CHARS_MAX = 255  # of each id and name; a longer one is not kept

OPEN, CANCELLED, COMPLETED = "open", "cancelled", "completed"
CHARGED, DECLINED, COLLECTIONS, PENDING, REFUNDED, VOID = "charged", "declined", "collections", "pending", "refunded", "void"
_PAID = frozenset({CHARGED, REFUNDED, VOID})

_ORDER_EVENTS = {"order.opened": OPEN, "order.updated": OPEN, "order.cancelled": CANCELLED, "order.completed": COMPLETED}
_TRANSACTION_EVENTS = {
    "transaction.charged": CHARGED,
    "transaction.declined": DECLINED,
    "transaction.failed": DECLINED,  # the same fact by its common name
    "transaction.collections": COLLECTIONS,
    "transaction.pending": PENDING,
    "transaction.refunded": REFUNDED,
    "transaction.voided": VOID,
}
EVENTS = frozenset({*_ORDER_EVENTS, *_TRANSACTION_EVENTS})
_ORDER_TEXTS = ("kind", "product", "subscription", "currency")
_TRANSACTION_TEXTS = ("order", "product", "invoice", "customer", "currency")


def hear(turn: CoreTurn, name: str, data: Mapping[str, Any]) -> list[Fact]:
    """Keep a fact of EVENTS; what is to be fired in its place: itself with what the record knows, or nothing where it is no news."""
    if name in _ORDER_EVENTS:
        return _hear_order(turn, name, data)
    return _hear_transaction(turn, "transaction.declined" if name == "transaction.failed" else name, data)


def _hear_order(turn: CoreTurn, name: str, data: Mapping[str, Any]) -> list[Fact]:
    key, status = _text(data.get("order")), _ORDER_EVENTS[name]
    if not key:
        return [(name, data)]
    when, orders = _when(turn, data), turn.contact.orders
    known = orders.get(key)
    if known is None:
        known = Order(status)
    elif when < known.at or (known.status != OPEN and (status != OPEN or name == "order.updated")):
        known.by = "" if known.status == status else known.by  # the provider confirms what was done
        _fill(known, data, _ORDER_TEXTS, blanks=True)
        return []
    changed = _fill(known, data, _ORDER_TEXTS)
    repeated = key in orders and known.status == status == OPEN
    orders[key] = known
    known.status, known.at, known.by = status, when, ""
    _bound(orders, turn.workspace.bounds.orders_max)
    if repeated and not (name == "order.updated" and changed):
        return []
    more = {"changed": changed} if repeated else {}
    return [(name, {**_told(key, known, data, "order", _ORDER_TEXTS), **more})]


def _hear_transaction(turn: CoreTurn, name: str, data: Mapping[str, Any]) -> list[Fact]:
    key, status = _text(data.get("transaction")), _TRANSACTION_EVENTS[name]
    if not key:
        return [(name, data)]
    when, transactions = _when(turn, data), turn.contact.transactions
    known = transactions.get(key)
    if known is None:
        known = Transaction()
    elif not _is_news(turn, known, status, data, when):
        _fill(known, data, _TRANSACTION_TEXTS, blanks=True)
        return []
    _fill(known, data, _TRANSACTION_TEXTS)
    order = turn.contact.orders.get(known.order)
    if order is not None and not known.product:
        known.product = order.product
    if known.status != COLLECTIONS or status != DECLINED:  # a declined recharge leaves it in collections
        known.status = status
    known.at, known.by = max(known.at, when), ""
    transactions[key] = known
    _bound(transactions, turn.workspace.bounds.transactions_max)
    return [(name, _told(key, known, data, "transaction", _TRANSACTION_TEXTS))]


def _is_news(turn: CoreTurn, known: Transaction, status: str, data: Mapping[str, Any], when: int) -> bool:
    """Whether a fact about a transaction on record says something new."""
    if known.status in _PAID:
        return known.status == CHARGED and status == REFUNDED
    if status == CHARGED:
        return True  # also late news: money has come in
    if "recharge" in data:
        return bool(data["recharge"] == known.by)  # else it was told before
    if when < known.at:
        return False
    if status == DECLINED and _under_way(turn, known) and "time" in data:
        return False  # the provider's notice of our own attempt, of which the outcome tells
    return status != known.status or status == DECLINED


# -- actions -----------------------------------------------------------------------------------------------------------


def cancel(turn: CoreTurn, product: str) -> None:
    """Cancel the open orders (of a product, "" for all): on record at once, at the provider by one effect that lists its subscriptions."""
    contact = turn.contact
    found = {key: order for key, order in contact.orders.items() if order.status == OPEN and product in ("", order.product)}
    detail = {"orders": {key: order.subscription for key, order in found.items()}}
    effect = ""
    if not found:
        turn.emit(CHANNEL, {}, missing=NO_ORDERS)
    elif not any(detail["orders"].values()):
        turn.did(detail)
    elif turn.emit(CHANNEL, detail):
        effect = turn.changes.effects[-1].id
    else:
        return  # parked: it runs again
    for order in found.values():
        order.status, order.at, order.by = CANCELLED, turn.now_ms, effect if order.subscription else ""
    for key, order in found.items():
        turn.fire("order.cancelled", _told(key, order, {}, "order", _ORDER_TEXTS))


def recharge(turn: CoreTurn) -> None:
    """Decide one effect that recharges the transactions in collections, but for those that are being recharged already."""
    found = {key: one for key, one in turn.contact.transactions.items() if one.status == COLLECTIONS}
    free = {key: one for key, one in found.items() if not _under_way(turn, one)}
    if not free:
        turn.emit(CHANNEL, {}, missing=UNDER_WAY if found else NO_TRANSACTIONS)
    elif turn.emit(CHANNEL, {"transactions": [_told(key, one, {}, "transaction", _TRANSACTION_TEXTS) for key, one in free.items()]}):
        for one in free.values():
            one.by, one.since = turn.changes.effects[-1].id, turn.now_ms


def settled(turn: CoreTurn, record: Outcome) -> None:
    """An effect of ours is over: its transactions are free again; orders that the provider did not cancel are open again."""
    if not record.effect or record.status == "deferred":
        return
    for one in turn.contact.transactions.values():
        if one.by == record.effect:
            one.by = ""
    failed = record.status in ("rejected", "dead")
    for key, order in list(turn.contact.orders.items()):
        if order.by != record.effect:
            continue
        order.by = ""
        if failed:
            order.status, order.at = OPEN, turn.now_ms
            turn.fire("order.cancel_failed", {**_told(key, order, {}, "order", _ORDER_TEXTS), "reason": record.reason})


def _under_way(turn: CoreTurn, one: Transaction) -> bool:
    """Whether a recharge is under way. An effect that never had an outcome (unknown after a crash) holds for no longer than effects live."""
    return bool(one.by) and turn.now_ms < one.since + turn.workspace.bounds.effect_life_ms


# -- the record --------------------------------------------------------------------------------------------------------


def _when(turn: CoreTurn, data: Mapping[str, Any]) -> int:
    """When a fact happened: by its own `time`, never later than now."""
    own = instant(data["time"], UTC) if "time" in data else None
    return turn.now_ms if own is None else min(own, turn.now_ms)


def _text(value: Any) -> str:
    """A text or a whole number as an id or a name; "" for what is none, or too long."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**18 else ""
    return value if isinstance(value, str) and len(value) <= TEXT_CHARS_MAX else ""


def _fill(known: Order | Transaction, data: Mapping[str, Any], texts: tuple[str, ...], *, blanks: bool = False) -> list[str]:
    """Take over what a fact says (`blanks`: only where nothing stands, such as the provider's id, which no news may still bring); the names of what changed."""
    values: dict[str, str | float] = {name: text for name in texts if (text := _text(data.get(name)))}
    amount = data.get("amount")
    if isinstance(amount, int | float) and not isinstance(amount, bool) and 0 <= amount < float("inf"):
        values["amount"] = amount
    changed = [name for name, value in values.items() if getattr(known, name) != value and not (blanks and getattr(known, name))]
    for name in changed:
        setattr(known, name, values[name])
    return changed


def _told(key: str, known: Order | Transaction, data: Mapping[str, Any], what: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """What is fired: the fact, with what the record knows where it says nothing."""
    own = {name: value for name in (*texts, "amount") if (value := getattr(known, name))}
    return {**own, **data, what: key}


def _bound(kept: dict[str, Order] | dict[str, Transaction], most: int) -> None:
    """Drop what is over and oldest first, then what is oldest; last what the provider is busy with."""
    while len(kept) > most:
        del kept[min(kept, key=lambda key: (bool(kept[key].by), kept[key].status in (OPEN, COLLECTIONS), kept[key].at))]
