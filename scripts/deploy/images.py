"""A small client of the Images API for the checks of deployments: one kept connection, and no second try."""

import hashlib
import http.client
import json
import os
import ssl
import threading
import time
import urllib.parse

from stack import Failure

OLGA = {"X-Auth-Token": "olga:alpha:member"}
RAW = {"disk_format": "raw", "container_format": "bare"}


class Client:
    """Speaks to one address."""

    def __init__(self, url, tls=None):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=tls)
            self.connection = http.client.HTTPSConnection(parts.netloc, timeout=120, context=context)
        else:
            self.connection = http.client.HTTPConnection(parts.netloc, timeout=120)

    def ask(self, method, path, body=None, headers=None, wanted=(200,)):
        """Sends a request and reads the whole answer, which must have one of the statuses."""
        self.connection.request(method, path, body, OLGA | (headers or {}), encode_chunked=hasattr(body, "__next__"))
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status not in wanted:
            raise Failure(f"{method} {path}: {answer.status} {data[:300]!r}")
        return answer, data

    def create(self, **attributes):
        _, data = self.ask("POST", "/v2/images", json.dumps(RAW | attributes),
                           {"Content-Type": "application/json"}, wanted=(201,))
        return json.loads(data)["id"]

    def show(self, image):
        return json.loads(self.ask("GET", f"/v2/images/{image}")[1])

    def upload(self, image, body, chunk=None, pace=0.0, wanted=(204,)):
        """Sends data with its length, or without it in chunks of `chunk` bytes and `pace` seconds between them."""
        headers = {"Content-Type": "application/octet-stream"}
        if chunk is not None:
            headers["Transfer-Encoding"] = "chunked"
            body = pieces(body, chunk, pace)
        return self.ask("PUT", f"/v2/images/{image}/file", body, headers, wanted)

    def download(self, image, span=None):
        headers = {"Range": f"bytes={span[0]}-{span[1]}"} if span else {}
        _, data = self.ask("GET", f"/v2/images/{image}/file", headers=headers, wanted=(206 if span else 200, 204))
        return data

    def download_slowly(self, image, pace):
        """Reads 128 KiB at a time; gives the digest."""
        self.connection.request("GET", f"/v2/images/{image}/file", headers=OLGA)
        answer = self.connection.getresponse()
        if answer.status != 200:
            raise Failure(f"download: {answer.status} {answer.read()[:300]!r}")
        digest = hashlib.sha256()
        while piece := answer.read(1 << 17):
            digest.update(piece)
            time.sleep(pace)
        return digest.digest()

    def delete(self, image):
        self.ask("DELETE", f"/v2/images/{image}", wanted=(204,))


def pieces(body, size, pace):
    for begin in range(0, len(body), size):
        yield body[begin:begin + size]
        if pace:
            time.sleep(pace)


class Load:
    """Clients at work until told to stop: reads and writes of metadata at a rate, uploads and downloads. Nothing is
    tried twice; whatever fails is kept in `lost`."""

    def __init__(self, url, rate=100, uploads=20, downloads=20):
        self.url, self.lost, self.done = url, [], {"metadata": 0, "upload": 0, "download": 0}
        self.ending, self.lock = threading.Event(), threading.Lock()
        self.body = os.urandom(2 << 20)
        client = Client(url)
        self.image = client.create(name="load")
        client.upload(self.image, self.body)
        # so many that their rate holds where an answer takes a while
        workers = 50
        self.interval = workers / rate
        kinds = [("metadata", self.metadata)] * workers + [("upload", self.upload)] * uploads
        kinds += [("download", self.download)] * downloads
        self.threads = [threading.Thread(target=self.work, args=kind, daemon=True) for kind in kinds]

    def __enter__(self):
        self.begun = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def summary(self):
        """What was done, and how fast."""
        seconds = time.monotonic() - self.begun
        done = ", ".join(f"{count} of {kind}" for kind, count in self.done.items())
        return f"{done} in {seconds:.0f} s, {self.done['metadata'] / seconds:.0f} of metadata a second"

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(120)

    def work(self, kind, act):
        client = Client(self.url)
        turn = 0
        while not self.ending.is_set():
            turn += 1
            try:
                act(client, turn)
                with self.lock:
                    self.done[kind] += 1
            except (Failure, OSError, http.client.HTTPException) as error:
                with self.lock:
                    self.lost.append(f"{time.strftime('%T')} {kind}: {type(error).__name__} {error}")
                client = Client(self.url)

    def metadata(self, client, turn):
        begun = time.monotonic()
        if turn % 10 == 0:
            client.delete(client.create(name="brief"))
        elif turn % 2:
            client.ask("GET", "/v2/images?limit=5")
        else:
            client.show(self.image)
        time.sleep(max(0.0, self.interval - (time.monotonic() - begun)))

    def upload(self, client, _):
        image = client.create(name="up")
        client.upload(image, self.body, chunk=1 << 18, pace=0.3)
        found = client.show(image)
        if (found["status"], found["checksum"]) != ("active", hashlib.md5(self.body).hexdigest()):
            raise Failure(f"upload: {found}")
        client.delete(image)

    def download(self, client, _):
        if client.download_slowly(self.image, 0.15) != hashlib.sha256(self.body).digest():
            raise Failure("download: other bytes")
