#!/usr/bin/env python3
"""SDKs of Segment and RudderStack, as they are, against a real server: what is counted afterwards is exactly what they were told.

Everything is sent three times under different names: straight, past a server that is busy at first (503), and past one whose first answers are lost, so that
the client sends again what is there already. `check.py PUGMARK NODE_MODULES [CHROMIUM]`
"""

import http.client
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROADS = ("straight", "busy", "lost")
# Longer than a library waits before it sends again what it has sent twice.
QUIET_S = 5
OF_A_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")


class Between(http.server.ThreadingHTTPServer):
    """Stands between a client and the server, and makes trouble with the first requests that bring something."""

    def __init__(self, road, upstream, troubles=1, tls=None):
        super().__init__(("127.0.0.1", 0), Trouble)
        self.road, self.upstream, self.troubles = road, upstream, 0 if road == "straight" else troubles
        self.lock, self.seen, self.last = threading.Lock(), 0, time.monotonic()
        if tls:
            # Shaken hands with on the thread of the connection: who only connects keeps nobody waiting.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.protocol = "https" if tls else "http"
        self.address = f"{self.protocol}://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        # Clients may go without a word.
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class Trouble(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(*self.pass_on())

    do_OPTIONS = do_GET

    def do_POST(self):
        server = self.server
        with server.lock:
            server.seen, server.last = server.seen + 1, time.monotonic()
            is_trouble = server.seen <= server.troubles
        if is_trouble and server.road == "busy":
            self.read()
            origin = self.headers["origin"]
            self.answer(503, [("retry-after", "1"), *([("access-control-allow-origin", origin)] if origin else [])], b"")
            return
        answered = self.pass_on()
        if is_trouble and server.road == "lost":
            # It is stored, and nobody is told.
            self.close_connection = True
            return
        self.answer(*answered)

    def read(self):
        return self.rfile.read(int(self.headers["content-length"] or 0))

    def pass_on(self):
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "keep-alive")}
        onward = http.client.HTTPConnection(self.server.upstream)
        onward.request(self.command, self.path, self.read(), {**headers, "x-forwarded-proto": self.server.protocol})
        answer = onward.getresponse()
        text = answer.read()
        onward.close()
        return answer.status, [(name, value) for name, value in answer.getheaders() if name.lower() not in OF_A_CONNECTION], text

    def answer(self, status, headers, text):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


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
    client.group(user_id=f"{name}-user", group_id=f"{name}-co", traits={"seats": 7})


def segment_node(host, key, name):
    node("segment.mjs", host, key, name)


def rudder_node(host, key, name):
    node("rudder.mjs", host, key, name)


def node(script, host, key, name):
    subprocess.run(["node", script], cwd=os.environ["NODE_DIR"], env={**os.environ, "HOST": host, "KEY": key, "NAME": name}, check=True, timeout=60)


class Page(http.server.BaseHTTPRequestHandler):
    FILES = {
        "/": (HERE / "page.html", "text/html"),
        "/beacon": (HERE / "beacon.html", "text/html"),
        "/analytics.js": ("node_modules/@segment/analytics-next/dist/umd/index.js", "text/javascript"),
    }

    def do_GET(self):
        file, kind = self.FILES.get(self.path.split("?")[0], (None, None))
        if file is None:
            self.send_error(404)
            return
        text = (Path(os.environ["NODE_DIR"]) / file).read_bytes()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Browser:
    """Chromium, anew for every page, so that none knows what another has kept."""

    def __init__(self, chromium, server):
        self.chromium, self.server = chromium, server
        self.pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=self.pages.serve_forever, daemon=True).start()
        certificate, key = (Path(os.environ["NODE_DIR"]) / name for name in ("certificate.pem", "key.pem"))
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2"]
        subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)

    def show(self, path, between, name, is_there, **given):
        """Shows a page until what it sends is there, and long enough after its last request for another one to come."""
        given = urllib.parse.urlencode({"KEY": self.server.write, "AT": between.address, "NAME": name, **given})
        address = f"http://127.0.0.1:{self.pages.server_port}{path}?{given}"
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors", "--remote-debugging-port=0"]
            process = subprocess.Popen([self.chromium, *flags, f"--user-data-dir={profile}", address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                until(lambda: is_there() and time.monotonic() - between.last > QUIET_S, 180, name)
            finally:
                process.kill()
                process.wait()

    def library(self, road, batch=False):
        """The library for browsers: one message a request, or behind a proxy that does the TLS, several."""
        name = f"{'batch' if batch else 'browser'}-{road}"
        events, ids = {"Signed Up": 1, "Paid": 1, "page": 1, "group": 1}, ids_of(name)
        # What fails is sent again together with what came meanwhile.
        bodies, troubles = (1, 2) if batch else (6, 6)
        between = Between(road, self.server.address, troubles, self.tls if batch else None)

        def is_there():
            is_sent = between.seen >= bodies + between.troubles
            return is_sent and self.server.count(name) >= sum(events.values()) and self.server.ids(f"{name}-user") == ids

        self.show("/", between, name, is_there, **({"BATCH": 1} if batch else {}))
        between.shutdown()
        check(self.server, name, events, ids)

    def beacon(self):
        """What a page without the library has: beacons as it is left, and a picture."""
        name, events = "beacon", {"Beacon text": 1, "Beacon JSON": 1, "Picture": 1}
        between = Between("straight", self.server.address)
        self.show("/beacon", between, name, lambda: self.server.count(name) >= sum(events.values()))
        between.shutdown()
        counted(self.server, name, events)

    def close(self):
        self.pages.shutdown()


def until(holds, seconds, what):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what}: not everything came in {seconds} s"
        time.sleep(0.1)


class Server:
    def __init__(self, pugmark, root):
        make = lambda *args: subprocess.run([pugmark, "key", "create", root, *args], check=True, capture_output=True, text=True).stdout.strip()
        self.write = make("--project", "shop", "--scope", "write", "--origin", "*")
        # Libraries of servers send no origin, and the one for browsers does.
        self.read = make("--project", "shop", "--scope", "read")
        self.admin = make("--project", "shop", "--scope", "admin")
        self.process = subprocess.Popen(
            [pugmark, "serve", root, "--set", "listen=127.0.0.1:0", "--set", "requests_per_second=0", "--set", "enrich.device=true", "--set", "trusted_proxies=['127.0.0.1/32']"],
            stdout=subprocess.PIPE, stderr=open(Path(root) / "log", "w"), text=True)
        self.address = self.process.stdout.readline().split()[-1]

    def sql(self, statement):
        request = urllib.request.Request(f"http://{self.address}/v1/sql", json.dumps({"sql": statement}).encode(), {"authorization": f"Bearer {self.read}"})
        return json.load(urllib.request.urlopen(request))

    def get(self, path):
        request = urllib.request.Request(f"http://{self.address}{path}", headers={"authorization": f"Bearer {self.read}"})
        return json.load(urllib.request.urlopen(request))

    def events(self, name):
        rows = self.sql(f"SELECT event, count(*) AS n FROM events WHERE distinct_id LIKE '{name}-%' GROUP BY event ORDER BY event")
        return {row["event"]: row["n"] for row in rows}

    def count(self, name):
        return sum(self.events(name).values())

    def ids(self, id):
        """All ids of whom this is one; none of nobody."""
        try:
            return {known["id"] for known in self.get(f"/v1/persons/{id}")["ids"]}
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return set()


def ids_of(name):
    return {f"{name}-anon", f"{name}-user", f"{name}-old"}


def counted(server, name, events):
    found = server.events(name)
    assert found == events, (name, found)
    print(f"{name}: {found}")


def check(server, name, events, ids):
    counted(server, name, events)
    found = server.ids(f"{name}-user")
    assert found == ids, (name, found)
    people = server.sql(f"SELECT DISTINCT person, profile('plan') AS plan FROM events WHERE distinct_id LIKE '{name}-%'")
    assert [row["plan"] for row in people] == ["pro"], (name, people)
    seats = server.sql(f"SELECT group_profile('group_id', 'seats') AS seats FROM events WHERE event = 'group' AND distinct_id LIKE '{name}-%'")
    assert [row["seats"] for row in seats] == [7], (name, seats)


def main():
    pugmark, node_dir, *chromium = sys.argv[1:]
    os.environ["NODE_DIR"] = node_dir
    for script in ("segment.mjs", "rudder.mjs"):
        (Path(node_dir) / script).write_text((HERE / script).read_text())
    with tempfile.TemporaryDirectory() as root:
        server = Server(pugmark, root)
        try:
            for client in (segment_python, rudder_python, segment_node, rudder_node):
                for road in ROADS:
                    name = f"{client.__name__}-{road}".replace("_", "-")
                    between = Between(road, server.address)
                    client(between.address, server.write, name)
                    assert between.seen >= 1 + between.troubles, (name, between.seen)
                    between.shutdown()
                    check(server, name, {"Signed Up": 1, "Paid": 1, "group": 1}, ids_of(name))
            for one in chromium:
                browser = Browser(one, server)
                shown = [partial(browser.library, road, batch) for road in ROADS for batch in (False, True)]
                # Mostly they wait.
                with ThreadPoolExecutor(4) as at_once:
                    for done in [at_once.submit(page) for page in (*shown, browser.beacon)]:
                        done.result()
                browser.close()
                device = server.sql("SELECT DISTINCT device_type FROM events WHERE distinct_id LIKE 'b%'")
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
