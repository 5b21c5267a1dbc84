#!/usr/bin/env python3
"""SDKs of Segment and RudderStack, as they are, against a real server: what is counted afterwards is exactly what they were told.

Everything is sent three times under different names: straight, past a server that is busy at first (503), and past one whose first answer is lost, so that
the client sends again what is there already. `check.py PUGMARK NODE_MODULES [CHROMIUM]`
"""

import http.client
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Trouble(http.server.BaseHTTPRequestHandler):
    """Stands between a client and the server, and makes trouble with the first request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.server.lock:
            first, self.server.seen = self.server.seen == 0, self.server.seen + 1
        if first and self.server.kind == "busy":
            self.send_response(503)
            self.send_header("retry-after", "1")
            self.send_header("content-length", "0")
            self.end_headers()
            return
        onward = http.client.HTTPConnection(self.server.upstream)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        onward.request("POST", self.path, body, headers)
        answer = onward.getresponse()
        text = answer.read()
        if first and self.server.kind == "lost":
            # It is stored, and nobody is told.
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def trouble(kind, upstream):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trouble)
    server.kind, server.upstream, server.seen, server.lock = kind, upstream, 0, threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def segment_python(host, key, name):
    from segment.analytics.client import Client

    python(Client, host, key, name)


def rudder_python(host, key, name):
    from rudderstack.analytics.client import Client

    python(Client, host, key, name)


def python(library, host, key, name):
    failed = []
    client = library(key, host=host, on_error=lambda error, _: failed.append(error), max_retries=5)
    send(client, name, library.__module__)
    client.flush()
    client.join()
    assert not failed, failed


def send(client, name, via):
    client.track(anonymous_id=f"{name}-anon", event="Signed Up", properties={"via": via})
    client.identify(user_id=f"{name}-user", anonymous_id=f"{name}-anon", traits={"plan": "pro"})
    client.track(user_id=f"{name}-user", event="Paid", properties={"total": 5})
    client.alias(f"{name}-old", f"{name}-user")
    client.group(user_id=f"{name}-user", group_id="acme", traits={"seats": 7})


def segment_node(host, key, name):
    subprocess.run(["node", "node.mjs"], cwd=os.environ["NODE_DIR"], env={**os.environ, "HOST": host, "KEY": key, "NAME": name}, check=True, timeout=60)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        files = {"/": HERE / "page.html", "/analytics.js": Path(os.environ["NODE_DIR"]) / "node_modules/@segment/analytics-next/dist/umd/index.js"}
        file = files.get(path)
        if file is None:
            self.send_error(404)
            return
        text = file.read_bytes()
        self.send_response(200)
        self.send_header("content-type", "text/html" if path == "/" else "text/javascript")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def browser(chromium, server, key, name):
    pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{pages.server_port}/?KEY={key}&HOST={server.address}&NAME={name}"
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}", "--remote-debugging-port=0"]
        process = subprocess.Popen([chromium, *flags, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: len(server.sql(f"SELECT event FROM events WHERE distinct_id LIKE '{name}-%'")) >= 3, 60)
        finally:
            process.kill()
            process.wait()


def until(holds, seconds):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.1)


class Server:
    def __init__(self, pugmark, root):
        make = lambda *args: subprocess.run([pugmark, "key", "create", root, *args], check=True, capture_output=True, text=True).stdout.strip()
        self.write = make("--project", "shop", "--scope", "write", "--origin", "*")
        # Libraries of servers send no origin, and the one for browsers does.
        self.read = make("--project", "shop", "--scope", "read")
        self.admin = make("--project", "shop", "--scope", "admin")
        self.process = subprocess.Popen(
            [pugmark, "serve", root, "--set", "listen=127.0.0.1:0", "--set", "requests_per_second=0", "--set", "enrich.device=true"],
            stdout=subprocess.PIPE, stderr=open(Path(root) / "log", "w"), text=True)
        self.address = self.process.stdout.readline().split()[-1]

    def sql(self, statement):
        request = urllib.request.Request(f"http://{self.address}/v1/sql", json.dumps({"sql": statement}).encode(), {"authorization": f"Bearer {self.read}"})
        return json.load(urllib.request.urlopen(request))

    def get(self, path):
        request = urllib.request.Request(f"http://{self.address}{path}", headers={"authorization": f"Bearer {self.read}"})
        return json.load(urllib.request.urlopen(request))


def check(server, name, events, ids):
    rows = server.sql(f"SELECT event, count(*) AS n FROM events WHERE distinct_id LIKE '{name}-%' GROUP BY event ORDER BY event")
    found = {row["event"]: row["n"] for row in rows}
    assert found == events, (name, found)
    person = server.get(f"/v1/persons/{name}-user")
    assert {known["id"] for known in person["ids"]} == ids, (name, person)
    people = server.sql(f"SELECT DISTINCT person, profile('plan') AS plan FROM events WHERE distinct_id LIKE '{name}-%'")
    assert [row["plan"] for row in people] == ["pro"], (name, people)
    print(f"{name}: {found}, {len(ids)} ids are one person")


def main():
    pugmark, node_dir, *chromium = sys.argv[1:]
    os.environ["NODE_DIR"] = node_dir
    (Path(node_dir) / "node.mjs").write_text((HERE / "node.mjs").read_text())
    with tempfile.TemporaryDirectory() as root:
        server = Server(pugmark, root)
        try:
            for client in (segment_python, rudder_python, segment_node):
                for kind in ("straight", "busy", "lost"):
                    name = f"{client.__name__}-{kind}".replace("_", "-")
                    between, host = trouble(kind, server.address)
                    client(host, server.write, name)
                    assert between.seen >= (1 if kind == "straight" else 2), (name, between.seen)
                    between.shutdown()
                    ids = {f"{name}-anon", f"{name}-user", f"{name}-old"}
                    check(server, name, {"Signed Up": 1, "Paid": 1, "group": 1}, ids)
            for one in chromium:
                browser(one, server, server.write, "browser")
                check(server, "browser", {"Signed Up": 1, "Paid": 1, "page": 1}, {"browser-anon", "browser-user"})
                device = server.sql("SELECT DISTINCT device_type FROM events WHERE distinct_id LIKE 'browser-%'")
                assert [row["device_type"] for row in device] == ["bot"], device
        except BaseException:
            print((Path(root) / "log").read_text()[-5000:], file=sys.stderr)
            raise
        finally:
            server.process.terminate()
            assert server.process.wait(20) == 0
    print("all counted exactly")


if __name__ == "__main__":
    main()
