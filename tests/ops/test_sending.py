"""`wayfare send`: batches, rejected lines, waiting where it is told to, and going on where it was interrupted."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ops.cli import sending
from ops.cli.client import Client, Refused, Unreachable
from ops.cli.sending import BATCH_EVENTS, batches, deliver

Answer = tuple[int, dict[str, str], object]


class Gateway:
    """A real HTTP server that answers as the test says, one answer after the other, then accepts everything."""

    def __init__(self) -> None:
        self.answers: list[Callable[[list[str]], Answer] | Answer] = []
        self.seen: list[tuple[str, list[str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                lines = self.rfile.read(int(self.headers["Content-Length"])).decode().splitlines()
                outer.seen.append((self.headers["Idempotency-Key"], lines))
                status, headers, body = outer.next(lines)
                if status == 0:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                content = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def next(self, lines: list[str]) -> Answer:
        if not self.answers:
            return 202, {}, {"accepted": len(lines)}
        answer = self.answers.pop(0)
        return answer(lines) if callable(answer) else answer


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with closing(Client(gateway.url, "")) as made:
        yield made


@pytest.fixture
def events(tmp_path):
    file = tmp_path / "events.ndjson"
    file.write_text("".join(f'{{"contact": "c", "name": "n", "id": "{number}"}}\n' for number in range(2 * BATCH_EVENTS + 5)))
    return file


def call(gateway: Gateway, *args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        sending.send.main([*args, "--url", gateway.url], standalone_mode=False)
    return ended.value.code


def test_a_file_goes_out_in_batches_and_only_once(gateway, events, capsys):
    assert call(gateway, str(events), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"accepted": 2005, "rejected": 0}
    assert [len(lines) for _, lines in gateway.seen] == [BATCH_EVENTS, BATCH_EVENTS, 5]
    assert len({key for key, _ in gateway.seen}) == 3
    assert call(gateway, str(events)) == 0
    assert len(gateway.seen) == 3
    assert call(gateway, str(events), "--again") == 0
    assert [key for key, _ in gateway.seen[3:]] == [key for key, _ in gateway.seen[:3]]


def test_interrupted_it_goes_on_behind_the_last_accepted_batch(gateway, events):
    gateway.answers = [(202, {}, {"accepted": BATCH_EVENTS}), (401, {}, {"title": "A key is needed"})]
    with pytest.raises(Refused, match="A key is needed"):
        sending.send.main([str(events), "--url", gateway.url], standalone_mode=False)
    assert call(gateway, str(events)) == 0
    assert [len(lines) for _, lines in gateway.seen] == [BATCH_EVENTS, BATCH_EVENTS, BATCH_EVENTS, 5]
    assert gateway.seen[1] == gateway.seen[2]


def test_what_was_added_to_the_file_goes_out_next_time(gateway, events):
    call(gateway, str(events))
    with events.open("a") as file:
        file.write('{"contact": "d", "name": "n"}\n')
    assert call(gateway, str(events)) == 0
    assert gateway.seen[-1][1] == ['{"contact": "d", "name": "n"}']


def test_another_file_of_the_same_name_begins_anew(gateway, events):
    call(gateway, str(events))
    events.write_text('{"contact": "other", "name": "n"}\n')
    call(gateway, str(events))
    assert gateway.seen[-1][1] == ['{"contact": "other", "name": "n"}']


def test_rejected_lines_are_told_with_their_numbers(gateway, events, capsys):
    gateway.answers = [lambda lines: (207, {}, {"accepted": len(lines) - 1, "rejected": [{"index": 3, "error": "contact: missing"}]})]
    assert call(gateway, str(events)) == 1
    said = capsys.readouterr()
    assert f"{events}:4: contact: missing" in said.err
    assert "2004 accepted, 1 rejected" in said.out


def test_all_bad_is_told_and_the_next_batch_goes_out(gateway, events):
    gateway.answers = [lambda lines: (422, {}, {"accepted": 0, "rejected": [{"index": index, "error": "bad"} for index in range(len(lines))]})]
    assert call(gateway, str(events)) == 1
    assert len(gateway.seen) == 3


def one_batch(events):
    return next(batches(events, 0, 1))


def test_busy_is_waited_out_as_long_as_it_says_with_the_same_key(gateway, client, events):
    gateway.answers = [(429, {"Retry-After": "7"}, {}), (503, {"Retry-After": "2"}, {})]
    waits: list[float] = []
    assert deliver(client, one_batch(events), waits.append) == (BATCH_EVENTS, [])
    assert waits == [7.0, 2.0]
    assert len({key for key, _ in gateway.seen}) == 1


def test_a_lost_answer_is_asked_for_again_with_the_same_key(gateway, client, events):
    gateway.answers = [(0, {}, None)]
    assert deliver(client, one_batch(events), lambda _: None) == (BATCH_EVENTS, [])
    assert gateway.seen[0] == gateway.seen[1]


def test_items_that_came_at_a_bad_time_go_out_again_by_themselves(gateway, client, events):
    late = [{"index": 2, "error": "busy: this part of the log is full"}, {"index": 5, "error": "unavailable: away"}, {"index": 9, "error": "bad"}]
    gateway.answers = [lambda lines: (207, {}, {"accepted": len(lines) - 3, "rejected": late})]
    accepted, rejected = deliver(client, one_batch(events), lambda _: None)
    assert (accepted, rejected) == (BATCH_EVENTS - 1, [(10, "bad")])
    again = gateway.seen[1]
    assert [json.loads(line)["id"] for line in again[1]] == ["2", "5"]
    assert again[0] != gateway.seen[0][0]


def test_nobody_at_home_is_given_up_in_the_end(events):
    waits: list[float] = []
    with pytest.raises(Unreachable):
        deliver(Client("http://127.0.0.1:1", ""), one_batch(events), waits.append)
    assert 60 <= sum(waits) <= 70


def test_lines_keep_their_numbers_over_empty_ones(gateway, client, tmp_path):
    file = tmp_path / "e.ndjson"
    file.write_bytes(b'{"a": 1}\r\n\n{"b": 2}')
    gateway.answers = [lambda lines: (207, {}, {"accepted": 1, "rejected": [{"index": 1, "error": "bad"}]})]
    assert deliver(client, one_batch(file), lambda _: None) == (1, [(3, "bad")])
    assert gateway.seen[0][1] == ['{"a": 1}', '{"b": 2}']
