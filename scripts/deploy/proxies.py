"""The shipped balancers in front of three replicas: bodies pass unharmed in both directions (R-30), and a restart of
one replica after the other under load loses no request (R-15)."""

import http.client
import os
import re
import subprocess
import sys

from images import OLGA, Client, Load
from stack import Failure, Stack, fetch, say, until

MIB = 1 << 20
# around the sizes at which something changes: nothing, one read, one part, several
SIZES = (0, 1, 65_537, 16 * MIB - 1, 16 * MIB, 40 * MIB + 7)


def syntax(stack):
    """Both programs take their configuration as shipped but for addresses."""
    for program in (["haproxy", "-c", "-f", stack.configuration("haproxy.cfg", "balancer")],
                    ["nginx", "-t", "-e", "stderr", "-c", stack.configuration("nginx.conf", "nginx")]):
        done = subprocess.run(stack.program(program), capture_output=True, text=True, check=False)
        if done.returncode or re.search(r"warn", done.stderr, re.I):
            raise Failure(f"{program[0]}: {done.stdout}{done.stderr}")
        say(f"ok  {program[0]} takes its configuration")


def bodies(name, here, there):
    """What goes in through one address comes out of the other."""
    for size in SIZES:
        body = os.urandom(size)
        for chunk in (None, 300_000):
            image = here.create(name=f"{size}")
            here.upload(image, body, chunk)
            found = there.show(image)
            if (found["status"], found["size"]) != ("active", size):
                raise Failure(f"{name}: {size} bytes became {found}")
            if there.download(image) != body:
                raise Failure(f"{name}: {size} bytes came back changed")
            if size > 20 * MIB and there.download(image, (16 * MIB - 3, 16 * MIB + 3)) != body[16 * MIB - 3:16 * MIB + 4]:
                raise Failure(f"{name}: a range came back changed")
            here.delete(image)
    say(f"ok  R-30 {name}: bodies of {', '.join(map(str, SIZES))} bytes, with their length and in chunks")


def heads(name, client, spelling):
    """v1 has metadata in headers: underscores, many of them, and their spelling."""
    wanted = {f"x-image-meta-property-p{number}_x": "v" * 200 for number in range(120)}
    given = {"x-image-meta-name": "v1", "x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}
    answer, _ = client.ask("POST", "/v1/images", b"data", given | wanted | {"Content-Type": "application/octet-stream"},
                           wanted=(201,))
    image = answer.getheader("Location").rsplit("/", 1)[1]
    # http.client refuses more than 100 headers unless it is told otherwise
    answer, _ = client.ask("HEAD", f"/v1/images/{image}")
    got = {key.lower(): value for key, value in answer.getheaders()}
    if {key: got.get(key) for key in wanted} != wanted:
        raise Failure(f"{name}: properties were lost: {len(got)} headers came back")
    names = {key for key, _ in answer.getheaders()}
    missing = {"X-Image-Meta-Is_public", *spelling} - names
    if missing:
        raise Failure(f"{name}: {missing} is spelled another way")
    client.delete(image)
    say(f"ok  R-30 {name}: 120 properties of v1 in headers, spelled as v1 has them")


def refusals(name, url, stack):
    """A refused upload is told why, although its body was on the way."""
    large = stack.work / "large"
    large.write_bytes(os.urandom(64 * MIB))
    client = Client(url)
    qcow2 = client.create(name="no qcow2", disk_format="qcow2")
    cases = {"415": f"/v2/images/{qcow2}/file", "404": "/v2/images/5b0f0f6e-0000-4000-8000-000000000000/file"}
    for wanted, path in cases.items():
        done = subprocess.run(
            ["curl", "--noproxy", "*", "--silent", "--max-time", "60", "--output", "/dev/null", "--write-out",
             "%{http_code}", "--header", f"X-Auth-Token: {OLGA['X-Auth-Token']}", "--header",
             "Content-Type: application/octet-stream", "--upload-file", str(large), url + path],
            capture_output=True, text=True, check=False)
        if done.stdout != wanted:
            raise Failure(f"{name}: {done.stdout} (curl {done.returncode}) where {wanted} was due")
    if client.show(qcow2)["status"] != "queued":
        raise Failure(f"{name}: a refused upload left the image {client.show(qcow2)['status']}")
    client.delete(qcow2)
    say(f"ok  R-30 {name}: an upload of 64 MiB that is refused gets 415 or 404, not a broken connection")


def claims(name, client, url):
    """Headers about proxies are the balancer's to set."""
    _, data = client.ask("GET", "/versions", wanted=(200,), headers={
        "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher", "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example;proto=gopher"})
    links = set(re.findall(r'"href": ?"(.*?)/v\d/', data.decode()))
    if links != {url}:
        raise Failure(f"{name}: links lead to {links}")
    say(f"ok  {name}: links lead to {url}")


def buffered(stack):
    """What a proxy may do to a request: hold it back, speak HTTP/1.0, give up after a minute, end TLS."""
    key, certificate = stack.work / "tls.key", stack.work / "tls.pem"
    address = stack.hosts["nginx"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=balancer", "-addext", f"subjectAltName=IP:{address}", "-days", "2", "-keyout",
                    str(key), "-out", str(certificate)], check=True, capture_output=True)

    def change(text):
        for old, new in (("proxy_request_buffering off", "proxy_request_buffering on"),
                         ("proxy_buffering off", "proxy_buffering on"), ("proxy_http_version 1.1", "proxy_http_version 1.0"),
                         ("proxy_max_temp_file_size 0", "proxy_max_temp_file_size 256m"), (" 1h;", " 60s;"),
                         ("    server_name _;", f"    ssl_certificate {certificate};\n    ssl_certificate_key {key};\n"
                          "    server_name _;"),
                         (f"listen {address}:9292;", f"listen {address}:9292 ssl; listen {address}:9280;")):
            if old not in text:
                raise Failure(f"nginx.conf has no `{old}` any more")
            text = text.replace(old, new)
        return text

    if "nginx" in stack.processes:
        stack.stop("nginx")
    stack.start("nginx", ["nginx", "-e", "stderr", "-c", stack.configuration("nginx.conf", "nginx", change)])
    until("nginx", lambda: fetch(f"http://{address}:9280/healthcheck"))
    url = f"https://{address}:9292"
    client = Client(url, tls=certificate)
    name = "nginx that buffers, with HTTP/1.0, 60 s and TLS"
    bodies(name, client, Client(url, tls=certificate))
    claims(name, client, url)


def rolling(stack):
    """R-15: each replica is told to stop, drains, ends, and is started again."""
    url = stack.url("balancer")
    with Load(url) as load:
        until("load on every replica", lambda: all(stack.requests(r) > 50 for r in stack.replicas))
        for replica in stack.replicas:
            status = stack.stop(replica)
            if status:
                raise Failure(f"{replica} ended with {status}")
            stack.launch(replica)
            until(f"{replica} ready", lambda: fetch(stack.url(replica, 9293) + "/readyz"))
            until(f"{replica} has its share again", lambda: stack.requests(replica) > 50)
            say(f"    {replica} restarted")
        done = load.summary()
    if load.lost:
        raise Failure(f"{len(load.lost)} requests lost ({done}):\n" + "\n".join(load.lost[:10]))
    if min(load.done.values()) < 20:
        raise Failure(f"too little was asked to tell: {done}")
    say(f"ok  R-15: three replicas restarted one by one, 0 lost ({done})")


def outage(stack, nginx):
    """Without a replica both say so, and soon."""
    for replica in stack.replicas:
        stack.stop(replica)
    for name, url in (("haproxy", stack.url("balancer")), ("nginx", nginx)):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
        connection.request("GET", "/v2/images", headers=OLGA)
        status = connection.getresponse().status
        if status not in (502, 503):
            raise Failure(f"{name}: {status} without a replica")
        say(f"ok  {name}: {status} without a replica")


def main():
    # v1 may answer with a header for each of 128 properties
    http.client._MAXHEADERS = 300
    with Stack(os.environ["VITRINE"], replicas=3) as stack:
        stack.bring_up("balancer")
        stack.bring_up("vitrine-3")
        syntax(stack)
        haproxy = stack.url("balancer")
        until("haproxy", lambda: fetch(f"{haproxy}/healthcheck"))
        rolling(stack)
        nginx = f"http://{stack.nginx()}"
        property_name = {"X-Image-Meta-Property-P7_x"}
        for name, url, other, spelling in (("haproxy", haproxy, nginx, ()), ("nginx", nginx, haproxy, property_name)):
            bodies(name, Client(url), Client(other))
            heads(name, Client(url), spelling)
            refusals(name, url, stack)
            claims(name, Client(url), url)
        buffered(stack)
        nginx = f"http://{stack.nginx()}"
        outage(stack, nginx)
    say("the balancers do as they should")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"check-proxies: {failure}")
