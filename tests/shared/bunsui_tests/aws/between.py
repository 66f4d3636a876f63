"""What stands between a client and an emulator: it counts, throttles, and loses answers."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from bunsui_tests.aws.listening import Listener
from bunsui_tests.aws.messages import Reply, Request

#: Headers that are of one connection.
_OWN = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"}


class Between:
    """An endpoint that hands on to another one; a context manager. It is for services that speak JSON.

    Args:
        url: The other one.
        seed: Of what happens at random.
    """

    def __init__(self, url: str, seed: int = 0) -> None:
        self._host = urlsplit(url).netloc
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        #: The part of all calls that are throttled.
        self.throttled = 0.0
        #: The part of all calls that take effect, and whose answers are lost.
        self.lost = 0.0
        #: Actions whose next answers are lost, that many.
        self.losing: Counter[str] = Counter()
        #: The codes with which the next calls of an action are refused, without effect.
        self.refusing: dict[str, list[str]] = {}
        #: Whether no call is answered, for ever.
        self.hangs = False
        #: Whether batches are done for their first entry only, and the rest is left.
        self.does_little = False
        #: The calls that came, by action.
        self.calls: Counter[str] = Counter()
        #: What they were given, each with its action, oldest first.
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        #: The write units of each write, as the other one says: ministack counts as DynamoDB does, DynamoDB
        #: Local takes each transaction for four.
        self.writes: list[float] = []
        self._is_over = threading.Event()
        self._listener = Listener(self._answer)
        self.url = f"http://127.0.0.1:{self._listener.port}"

    def let_go(self) -> None:
        """Ends the connections that hang, and none does any more."""
        self.hangs = False
        self._is_over.set()

    def close(self) -> None:
        """Ends all connections."""
        self.let_go()
        self._listener.close()

    def __enter__(self) -> Between:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: Request) -> Reply | None:
        action = request.headers.get("x-amz-target", "").rpartition(".")[2]
        with self._lock:
            self.calls[action] += 1
            is_throttled = self._random.random() < self.throttled
            is_lost = self._random.random() < self.lost or self.losing[action] > 0
            if not is_throttled and self.losing[action] > 0:
                self.losing[action] -= 1
        if self.hangs:
            self._is_over.wait()
            return None
        if codes := self.refusing.get(action):
            body = {"__type": f"com.amazonaws.dynamodb.v20120810#{codes.pop(0)}", "message": "not now"}
            return Reply(400, json.dumps(body).encode(), {"Content-Type": "application/x-amz-json-1.0"})
        if is_throttled:
            body = {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"}
            return Reply(400, json.dumps(body).encode(), {"Content-Type": "application/x-amz-json-1.0"})
        reply = self._handed_on(request, action)
        return None if is_lost else reply

    def _handed_on(self, request: Request, action: str) -> Reply:
        body = json.loads(request.body or b"{}")
        with self._lock:
            self.bodies.append((action, body.copy()))
        if action in ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"):
            body["ReturnConsumedCapacity"] = "TOTAL"
        left: dict[str, Any] = {}
        for table, asked in body.get("RequestItems", {}).items() if self.does_little else ():
            entries = asked["Keys"] if action == "BatchGetItem" else asked
            if rest := entries[1:]:
                left[table] = {**asked, "Keys": rest} if action == "BatchGetItem" else rest
            del entries[1:]
        sent = json.dumps(body).encode()
        headers = {name: value for name, value in request.headers.items() if name not in _OWN}
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            connection.request(request.method, request.path, sent, headers)
            answer = connection.getresponse()
            read = answer.read()
        finally:
            connection.close()
        if left and answer.status == 200:
            name = "UnprocessedKeys" if action == "BatchGetItem" else "UnprocessedItems"
            return Reply(200, json.dumps({**json.loads(read), name: left}).encode(), {})
        consumed = json.loads(read).get("ConsumedCapacity") if answer.status == 200 else None
        with self._lock:
            for each in [consumed] if isinstance(consumed, dict) else consumed or ():
                self.writes.append(each["CapacityUnits"])
        # The checksum is of the answer as it was.
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _OWN}
        return Reply(answer.status, read, kept)
