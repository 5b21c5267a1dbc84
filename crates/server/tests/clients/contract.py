#!/usr/bin/env python3
"""Everything that the document of a real server allows is sent to it, and much that it does not: no answer is a fault, and none has a status, a type, a head or a form that the document does not tell of.

`contract.py PUGMARK [SECONDS]`; needs schemathesis.
"""

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from check import Server

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"
REVOKES = "/v1/keys/{id}"


def run(server, root, seconds, *which):
    command = [
        str(Path(sys.executable).parent / "st"), "run", f"http://{server.address}/openapi.json",
        "--header", f"Authorization: Bearer {server.admin}", "--checks", CHECKS, "--seed", "7", "--max-time", str(seconds),
        "--request-timeout", "30", "--continue-on-failure", "--no-color",
        # How hard it is to make up requests, and how fast, says nothing of the server.
        "--suppress-health-check", "all", *which,
    ]
    # It keeps what it found where it runs.
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    cases = re.search(r"([\d,]+) generated", done.stdout)
    if done.returncode != 0 or not cases:
        print(done.stdout[-20_000:], done.stderr[-5_000:], file=sys.stderr)
        sys.exit(f"{which}: the server does not do what it says")
    return int(cases[1].replace(",", ""))


def main():
    pugmark, seconds = sys.argv[1], int((sys.argv[2:] or ["60"])[0])
    with tempfile.TemporaryDirectory() as root:
        server = Server(pugmark, root)
        try:
            events = [{"event": name, "distinct_id": f"u{at}", "properties": {"url": "/", "amount": at / 2}} for at in range(50) for name in ("page", "paid")]
            events.append({"type": "set", "distinct_id": "u1", "traits": {"plan": "pro"}})
            body = json.dumps(events).encode()
            urllib.request.urlopen(urllib.request.Request(f"http://{server.address}/v1/events", body, {"authorization": f"Bearer {server.write}", "content-type": "application/json"}))
            # A stream has no end, and a key that is revoked while it is used can do nothing any more.
            apart = ["--exclude-path", "/v1/events/stream", "--exclude-path", REVOKES]
            sent = run(server, root, seconds, *apart)
            sent += run(server, root, seconds, "--include-path", REVOKES, "--phases", "coverage,fuzzing")
        finally:
            server.process.terminate()
            assert server.process.wait(20) == 0
    print(f"{sent} requests, and every answer is one that the document tells of")


if __name__ == "__main__":
    main()
