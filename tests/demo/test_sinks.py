import http.client
import smtplib
import time

from benchmarks.deployment import Sinks


def send(sinks, subject, recipient, message_id):
    with smtplib.SMTP("127.0.0.1", sinks.smtp_port) as client:
        client.sendmail("shop@example.com", [recipient], f"Subject: {subject}\r\nMessage-ID: <{message_id}>\r\n\r\nhello\r\n..\r\nmore")


def test_mail_is_counted_by_subject_and_duplicates_are_seen():
    began_s = time.monotonic()
    with Sinks() as sinks:
        send(sinks, "Thank you, Ann", "ann@example.com", "1@shop")
        send(sinks, "Thank you, Bob", "bob@example.com", "2@shop")
        send(sinks, "Thank you, Bob", "bob@example.com", "2@shop")
        counts = sinks.counts()
        assert counts["kinds"] == {"email:Thank you": 3}
        assert counts["duplicates"] == 1
        assert sinks.recipients("email:Thank+you") == ["ann@example.com", "bob@example.com", "bob@example.com"]
        arrivals = sinks.arrivals("email:Thank you")
    assert [recipient for recipient, _ in arrivals] == ["ann@example.com", "bob@example.com", "bob@example.com"]
    times_s = [at_s for _, at_s in arrivals]
    assert began_s < times_s[0] <= times_s[1] <= times_s[2] < time.monotonic()


def test_webhooks_and_sms_are_counted(tmp_path):
    ledger = tmp_path / "ledger"
    with Sinks(ledger) as sinks:
        connection = http.client.HTTPConnection(sinks.url.removeprefix("http://"))
        for number in ("1", "2", "1"):
            connection.request("POST", "/crm", body=b'{"contact": "ann"}', headers={"webhook-id": number})
            assert connection.getresponse().read() == b"{}"
        connection.request("POST", "/2010-04-01/Accounts/AC1/Messages.json", body="To=%2B12025550100&Body=hi+you")
        answer = connection.getresponse()
        assert answer.status == http.client.CREATED
        assert b'"sid":"SM' in answer.read()
        connection.close()
        assert sinks.counts()["kinds"] == {"webhook:/crm": 3, "sms": 1}
        assert sinks.counts()["duplicates"] == 1
        lines = ledger.read_text().splitlines()
    assert lines == ["webhook:/crm\tann\t1", "webhook:/crm\tann\t2", "webhook:/crm\tann\t1", "sms\t+12025550100\t+12025550100 hi you"]


def test_requests_may_come_in_pieces():
    with Sinks() as sinks:
        connection = http.client.HTTPConnection(sinks.url.removeprefix("http://"))
        connection.putrequest("POST", "/slow")
        connection.putheader("Content-Length", "4")
        connection.endheaders()
        connection.send(b"ab")
        assert sinks.counts()["total"] == 0
        connection.send(b"cd")
        assert connection.getresponse().read() == b"{}"
        connection.close()
        assert sinks.counts()["total"] == 1
