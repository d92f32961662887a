from datetime import date

import pytest

from ops.demo import replay
from ops.demo.replay import Order, adapted, part_of, read_orders, truth_of


def test_the_data_is_whole_and_in_order():
    orders = read_orders()
    assert len(orders) == 69_659
    assert len({order.customer for order in orders}) == 23_570
    assert [order.day for order in orders] == sorted(order.day for order in orders)
    assert orders[0].day == date(1997, 1, 1)
    assert len({order.id for order in orders}) == len(orders)


def test_the_truth_is_reckoned_from_the_purchases():
    day = date(1997, 1, 1)
    orders = [Order("1", "00010", day, 1, 150.0), Order("2", "00051", day, 1, 199.99), Order("3", "00010", day, 1, 50.0), Order("4", "00026", day, 1, 20.0)]
    truth = truth_of(orders)
    assert truth.customers == 3
    assert truth.vips == {"00010@example.com"}
    assert truth.texts == {"+12025550002"}
    assert truth.thanks == {"00010@example.com", "00026@example.com"}  # 51 wants no email at all, 26 only what is transactional


def test_a_part_of_the_purchases():
    part = part_of(read_orders(), customers=100, days=10)
    assert {order.day for order in part} <= {date(1997, 1, day) for day in range(1, 11)}
    assert part
    assert max(int(order.customer) for order in part) <= 100


def test_durations_shrink_and_addresses_are_put_in():
    document = {
        "path": [
            {"wait": "100d"},
            {"goal": {"event": "e", "timeout": "60d"}},
            {"wait": {"until": "2026-01-01"}},
            {"send_webhook": {"url": f"{replay.SINK}/crm"}},
        ]
    }
    found = adapted(document, 50, "http://127.0.0.1:9")
    assert found["path"][0] == {"wait": "5s"}
    assert found["path"][1] == {"goal": {"event": "e", "timeout": "3s"}}
    assert found["path"][2] == {"wait": {"until": "2026-01-01"}}
    assert found["path"][3]["send_webhook"]["url"] == "http://127.0.0.1:9/crm"
    with pytest.raises(ValueError, match="7d is no whole number of seconds"):
        adapted({"wait": "7d"}, 50, "")
