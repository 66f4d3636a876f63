"""The shop of the example: serves orders.csv and regions.json on loopback until it is stopped."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REGIONS = ("North", "South", "East", "West", "Überall")
ORDERS = 1000


def orders() -> str:
    """Orders of whole and quarter amounts, the same each time."""
    lines = [f"{n},{n * n // 7 % len(REGIONS)},{n * 7919 % 400 / 4}" for n in range(ORDERS)]
    return "\n".join(["id,region,amount", *lines, ""])


def regions() -> str:
    """Their names."""
    return json.dumps([{"id": n, "name": name} for n, name in enumerate(REGIONS)])


class Shop(BaseHTTPRequestHandler):
    """Answers GET."""

    def do_GET(self) -> None:
        """One of the two files."""
        files = {"/orders.csv": ("text/csv", orders), "/regions.json": ("application/json", regions)}
        if self.path not in files:
            self.send_error(404)
            return
        kind, make = files[self.path]
        body = make().encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


def main() -> None:
    """Serves at the port of the first argument, by default 8765; 0: any that is free."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
    with ThreadingHTTPServer(("127.0.0.1", port), Shop) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
