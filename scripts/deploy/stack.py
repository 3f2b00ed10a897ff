"""Runs docker-compose.yml as processes, where there is no container engine.

Every service gets a loopback address of its own, so that all ports are those of the file and only names of hosts are
replaced. The programs of the service run with exactly the command and the environment that the file gives them.
PostgreSQL comes from its installed server programs, SeaweedFS stands for MinIO, and a listener that counts stands for
the collector. Services of a profile are left out.
"""

import http.server
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
# the machine may have other work; what is ready is not waited for
START_LIMIT = 180
STOP_LIMIT = 100

# stands for the programs that the images bring along
MC = """#!/bin/sh
case "$1" in
  ready) code=$(curl --noproxy '*' -s -o /dev/null -w '%{{http_code}}' http://{ip}:9000/); [ "$code" = 403 ] ;;
  mb) echo "s3.bucket.create -name ${{3#store/}}" | {weed} shell -master={ip}:9333.{grpc} -filer={ip}:8888.{filer_grpc} ;;
  *) echo "mc: no stand-in for $1" >&2; exit 2 ;;
esac
"""
WGET = """#!/bin/sh
for url; do :; done
exec curl --noproxy '*' -fsS -o /dev/null "$url"
"""


class Failure(Exception):
    """Something is not as it should be."""


def say(text):
    print(text, flush=True)


def fetch(url, timeout=30):
    """Body of a URL, past any proxy of the environment; nothing unless it answers with success."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as answer:
            return answer.read()
    except OSError:
        return None


def until(what, condition, seconds=START_LIMIT):
    """Waits for a condition that gives no notice."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.1)


def postgres_programs():
    """Directory of the newest installed server programs."""
    places = [*pathlib.Path("/usr/lib/postgresql").glob("*/bin"), *pathlib.Path("/usr").glob("pgsql-*/bin"),
              *pathlib.Path("/usr/local").glob("pgsql*/bin")]
    places = [place for place in places if (place / "initdb").exists()]
    number = re.compile(r"\d+")
    places.sort(key=lambda place: int((number.findall(str(place)) or [0])[-1]))
    found = shutil.which("initdb")
    if not places and not found:
        raise Failure("the PostgreSQL server programs are not installed")
    return places[-1] if places else pathlib.Path(found).resolve().parent


class Collector(http.server.ThreadingHTTPServer):
    """Counts what is pushed over OTLP."""

    daemon_threads = True

    def __init__(self, address):
        self.bodies = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.server.bodies.append((self.path, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(address, Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Stack:
    """The services of the compose file. A context manager: what was started is stopped, the latest first."""

    def __init__(self, vitrine, compose=ROOT / "docker-compose.yml", extra_environment=None, replicas=2):
        # past the networks that the tests of the service use
        self.net = f"127.{random.randrange(64, 250)}.{random.randrange(1, 250)}"
        text = compose.read_text()
        variables = {"SUBNET": "127.0.0.0/8"}
        text = re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda m: variables.get(m[1], m[2] or ""), text)
        self.services = {name: service for name, service in yaml.safe_load(text)["services"].items()
                         if "profiles" not in service}
        self.replicas = [f"vitrine-{number}" for number in range(1, replicas + 1)]
        for name in self.replicas:
            self.services.setdefault(name, self.services["vitrine-2"])
        names = list(self.services) + ["nginx"]
        self.hosts = {name: f"{self.net}.{number}" for number, name in enumerate(names, 1)}
        self.vitrine = str(pathlib.Path(vitrine).resolve())
        self.weed = str(ROOT / ".venv/seaweedfs/bin/weed")
        # by these it names sockets in /tmp
        self.weed_grpc = random.sample(range(20000, 30000), 4)
        self.extra_environment = extra_environment or {}
        self.processes = {}
        self.started = []
        self.collector = None

    # ---- life ----

    def __enter__(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="vitrine-compose-"))
        # the services run under accounts of their own
        self.work.chmod(0o755)
        bin_dir = self.work / "bin"
        bin_dir.mkdir()
        stand_ins = {"mc": self.mc(), "wget": WGET}
        for name, text in stand_ins.items():
            (bin_dir / name).write_text(text)
            (bin_dir / name).chmod(0o755)
        self.path = f"{bin_dir}:{postgres_programs()}:/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin"
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        return self

    def __exit__(self, kind, error, trace):
        for name in self.replicas:
            # they drain at the same time
            if name in self.processes and self.processes[name].poll() is None:
                self.processes[name].terminate()
        for name in reversed(list(self.processes)):
            # PostgreSQL waits for its clients at a SIGTERM; SeaweedFS takes half a minute, and its data go anyway
            kind_of_end = {"postgres": signal.SIGINT, "minio": signal.SIGKILL}
            self.stop(name, kind_of_end.get(name, signal.SIGTERM), quiet=True)
        if kind is not None and kind is not SystemExit:
            for log in sorted(self.work.glob("*.log")):
                tail = log.read_text(errors="replace").splitlines()[-15:]
                print(f"---- {log.stem}", *tail, sep="\n", file=sys.stderr)
        shutil.rmtree(self.work, ignore_errors=True)

    def mc(self):
        return MC.format(ip=self.hosts["minio"], weed=self.weed, grpc=self.weed_grpc[0], filer_grpc=self.weed_grpc[2])

    def up(self):
        """Starts everything in the order that `depends_on` gives."""
        for name in self.services:
            self.bring_up(name)
        return self

    def bring_up(self, name):
        if name in self.started:
            return
        service = self.services[name]
        for other, terms in service.get("depends_on", {}).items():
            self.bring_up(other)
            self.await_condition(other, terms["condition"])
        self.started.append(name)
        self.launch(name)

    def await_condition(self, name, condition):
        if condition == "service_healthy":
            until(f"{name} healthy", lambda: self.is_healthy(name))
        elif condition == "service_completed_successfully" and name in self.processes:
            status = self.processes[name].wait(START_LIMIT)
            if status:
                raise Failure(f"{name} ended with {status}")

    def is_healthy(self, name):
        process = self.processes[name]
        if process.poll() is not None:
            raise Failure(f"{name} ended with {process.returncode}")
        kind, *command = self.services[name]["healthcheck"]["test"]
        if kind != "CMD":
            raise Failure(f"{name}: only health checks without a shell can be run")
        command = [self.own(name, word) for word in command]
        try:
            done = subprocess.run(self.program(command), env=self.environment(name), cwd="/", timeout=30,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def stop(self, name, number=signal.SIGTERM, quiet=False):
        """Ends a process and gives its exit status."""
        process = self.processes.pop(name)
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                if not quiet:
                    raise Failure(f"{name} did not stop") from None
        return process.returncode

    # ---- what runs in place of a container ----

    def launch(self, name):
        service = self.services[name]
        if name == "postgres":
            self.postgres(service)
        elif name == "minio":
            self.seaweedfs(service)
        elif name == "minio-init":
            self.start(name, ["/bin/sh", str(ROOT / "deploy/minio-init.sh")])
        elif name == "balancer":
            self.start(name, ["haproxy", "-db", "-f", self.configuration("haproxy.cfg", name)])
        elif name == "otel-collector":
            self.collector = Collector((self.hosts[name], 4318))
        elif "build" in service:
            self.start(name, ["/usr/bin/vitrine", *service["command"]], service["user"])
        elif name != "minio-volume":  # there is no volume whose owner would have to change
            raise Failure(f"nothing stands for {name}")

    def start(self, name, command, user=None):
        account = {}
        if os.geteuid() == 0 and user:
            uid, gid = (int(number) for number in user.split(":"))
            account = {"user": uid, "group": gid, "extra_groups": []}
        with open(self.work / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                self.program(command), env=self.environment(name), cwd="/", stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, **account)

    def program(self, command):
        """The command, its program being the one that stands for that of the image."""
        program = command[0]
        program = self.vitrine if program == "/usr/bin/vitrine" else shutil.which(program, path=self.path)
        if not program:
            raise Failure(f"missing: {command[0]}")
        return [program, *command[1:]]

    def environment(self, name):
        """The environment that the compose file gives a service, and nothing of this process's own."""
        given = self.services.get(name, {}).get("environment", {})
        given = {key: self.own(name, str(value)) for key, value in given.items()}
        if name in self.replicas:
            given |= self.extra_environment
        return {"PATH": self.path} | given

    def own(self, name, text):
        """Text of a service with addresses for the names of hosts."""
        for host, address in self.hosts.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?=:\d)", address, text)
        return re.sub(r"\b(0\.0\.0\.0|127\.0\.0\.1)\b", self.hosts[name], text)

    def configuration(self, file, name, change=lambda text: text):
        """A shipped configuration with addresses for names, and the listener on that of `name`."""
        text = (ROOT / "deploy" / file).read_text()
        text = re.sub(r"^( *(?:bind|listen) ):?(\d+)", rf"\g<1>{self.hosts[name]}:\2", text, flags=re.M)
        if file == "haproxy.cfg":
            for number, replica in enumerate(self.replicas[2:], 3):
                text = re.sub(r"^( *server )vitrine-2 vitrine-2(.*)$", rf"\g<0>\n\1{replica} {replica}\2", text,
                              flags=re.M)
        for replica in self.replicas:
            text = re.sub(rf"\b{replica}:", f"{self.hosts[replica]}:", text)
        path = self.work / f"{name}.conf"
        path.write_text(change(text.replace("/tmp/", f"{self.work}/")))
        return str(path)

    def nginx(self, change=lambda text: text):
        """nginx with the shipped configuration, beside the balancer of the compose file; gives its address."""
        if "nginx" in self.processes:
            self.stop("nginx")
        path = self.configuration("nginx.conf", "nginx", change)
        self.start("nginx", ["nginx", "-c", path, "-e", "stderr"])
        address = f"{self.hosts['nginx']}:9292"
        until("nginx", lambda: fetch(f"http://{address}/healthcheck") or self.processes["nginx"].poll() is not None)
        if self.processes["nginx"].poll() is not None:
            raise Failure("nginx does not start")
        return address

    def postgres(self, service):
        settings = service["environment"]
        data, secret = self.work / "postgres", self.work / "postgres.secret"
        data.mkdir()
        secret.write_text(settings["POSTGRES_PASSWORD"])
        account = None
        if os.geteuid() == 0:
            names = {entry.pw_name: entry for entry in pwd.getpwall()}
            entry = names.get("postgres") or names["nobody"]
            account = f"{entry.pw_uid}:{entry.pw_gid}"
            for path in (data, secret):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        secret.chmod(0o600)
        self.start("initdb", ["initdb", *settings["POSTGRES_INITDB_ARGS"].split(), "--no-sync", "--auth-local=trust",
                              f"--username={settings['POSTGRES_USER']}", f"--pwfile={secret}", f"--pgdata={data}"],
                   account)
        if self.processes["initdb"].wait(START_LIMIT):
            raise Failure("initdb failed")
        address = self.hosts["postgres"]
        self.start("postgres", ["postgres", "-D", str(data), "-c", f"listen_addresses={address}", "-c", "fsync=off",
                                "-c", f"unix_socket_directories={data}", "-c", "max_connections=100"], account)
        create = ["createdb", f"--host={data}", f"--username={settings['POSTGRES_USER']}", settings["POSTGRES_DB"]]
        until("the database", lambda: subprocess.run(self.program(create), check=False, cwd="/", env={},
                                                     capture_output=True).returncode == 0)

    def seaweedfs(self, service):
        settings = service["environment"]
        address, data, keys = self.hosts["minio"], self.work / "weed", self.work / "weed.json"
        data.mkdir()
        keys.write_text(
            '{"identities": [{"name": "root", "actions": ["Admin", "Read", "Write", "List", "Tagging"], "credentials":'
            f' [{{"accessKey": "{settings["MINIO_ROOT_USER"]}", "secretKey": "{settings["MINIO_ROOT_PASSWORD"]}"}}]}}]}}')
        grpc = [f"-{part}.port.grpc={port}" for part, port in zip(("master", "volume", "filer", "s3"), self.weed_grpc)]
        self.start("minio", [
            self.weed, "server", f"-dir={data}", f"-ip={address}", f"-ip.bind={address}", "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64", "-volume.max=0", "-s3", "-s3.port=9000", f"-s3.config={keys}", *grpc])

    # ---- looks at what runs ----

    def url(self, name, port=9292):
        return f"http://{self.hosts[name]}:{port}"

    def metrics(self, replica):
        """The exposition of a replica."""
        text = fetch(self.url(replica, 9293) + "/metrics")
        if text is None:
            raise Failure(f"{replica} shows no metrics")
        return text.decode()

    def requests(self, replica):
        """How many requests a replica has answered."""
        counts = re.findall(r"^http_server_request_duration_seconds_count\S* (\d+)$", self.metrics(replica), re.M)
        return sum(int(count) for count in counts)

    def run(self, *arguments, name="vitrine-1", **more):
        """A command of the service in the place of a replica, with more variables; gives its output."""
        done = subprocess.run([self.vitrine, *arguments], env=self.environment(name) | more, cwd="/", text=True,
                              capture_output=True, timeout=120, check=False)
        if done.returncode:
            raise Failure(f"vitrine {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout
