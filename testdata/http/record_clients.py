#!/usr/bin/env python3
"""record_clients.py [DIRECTORY [TRANSCRIPT]]: lets the real git-annex use the real `git annex p2phttp` through a relay, and
writes what is said, in the format of README.md.

Needs git, git-annex and python3; uses ports of its own choice on 127.0.0.1 and a scratch directory.
"""
import base64, http.client, io, os, re, socket, subprocess, threading, time

from record import CLIENT, GATEWAY, USERS, Repository, Server, escape, key_of, main, write_answer


def lines(start, count):
    """`count` bytes of the endless text of numbered lines, from the byte `start` on."""
    text = b"".join(b"%07d\n" % number for number in range(start // 8, (start + count) // 8 + 1))
    return text[start % 8 : start % 8 + count]


# In the place of a body whose end never came.
CLOSED = b"closed"


class Payloads:
    """How payloads are told: long ones by their place in the numbered lines, or in data that is told once."""

    LONG = 1000

    def __init__(self):
        self.blobs = []

    def tell(self, data):
        if len(data) <= self.LONG:
            return escape(data)
        found = re.search(rb"\n(\d{7})\n", data)
        if found:
            start = 8 * int(found[1]) - found.start() - 1
            if start >= 0 and lines(start, len(data)) == data:
                return f"$lines+{start}+{len(data)}"
        for number, blob in enumerate(self.blobs, 1):
            if blob.endswith(data):
                return f"$data{number}+{len(blob) - len(data)}+{len(data)}"
        self.blobs.append(data)
        return self.tell(data)


class Relay(threading.Thread):
    """Passes connections on to a server, and keeps what went each way."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.upstream, self.streams, self.open = port, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.upstream))
            said = (Kept(), Kept())
            self.streams.append(said)
            self.open += 2
            for source, sink, kept in ((client, server, said[0]), (server, client, said[1])):
                threading.Thread(target=self.copy, args=(source, sink, kept), daemon=True).start()

    def copy(self, source, sink, kept):
        try:
            while data := source.recv(65536):
                kept.keep(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self.open -= 1

    def taken(self):
        """What was kept since this was asked, once all connections are closed."""
        for _ in range(400):
            if self.open == 0:
                break
            time.sleep(0.05)
        streams, self.streams = self.streams, []
        return streams


class Kept(io.BytesIO):
    """Bytes, and when they came."""

    def __init__(self):
        super().__init__()
        self.times = []

    def keep(self, data):
        self.write(data)
        self.times.append((self.tell(), time.monotonic_ns()))

    def now(self):
        """When what was read so far had come."""
        return next(at for end, at in self.times if end >= self.tell())


class Replayed:
    def __init__(self, stream):
        self.stream = stream

    def makefile(self, _):
        return self.stream


def read_request(stream):
    lines = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        lines.append(line.rstrip(b"\r\n").decode())
    low = [line.lower() for line in lines]
    chunks, body = None, b""
    if "transfer-encoding: chunked" in low:
        chunks = []
        while size := int(stream.readline() or b"-1", 16):
            if size < 0:
                return lines, CLOSED, chunks
            chunks.append(stream.read(size))
            stream.readline()
        stream.readline()
    else:
        body = stream.read(sum(int(line.split(":")[1]) for line in low if line.startswith("content-length:")))
    return lines, body, chunks


class Watched:
    """A real client of a server, and what they say."""

    def __init__(self, repository, out, flags=("--wideopen",), users=()):
        self.repository, self.out, self.payloads, self.locks, self.now = repository, out, Payloads(), [], 0
        self.server = Server(repository, out, list(flags), users)
        self.server.__enter__()
        self.relay = Relay(self.server.port)
        self.relay.start()
        config = [
            ("annex.security.allowed-ip-addresses", "127.0.0.1"), ("remote.origin.annex-uuid", GATEWAY),
            ("remote.origin.annexUrl", f"annex+http://127.0.0.1:{self.relay.port}/git-annex/"),
        ]
        # git-annex trusts the special remotes that it finds when it begins.
        self.client = Repository(os.path.dirname(repository.path), "client", CLIENT, [
            ("git", "remote", "add", "origin", repository.path), ("git", "fetch", "-q", "origin"),
            *(("git", "config", *setting) for setting in config),
        ])
        self.client.run("git", "annex", "sync", "--no-content")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.__exit__()

    def annex(self, *words, fails=False, title=None):
        """Runs git-annex in the client; its requests follow in the order in which they were answered."""
        self.client.run("git", "annex", *words, fails=fails)
        self.tell(title or "git annex " + " ".join(words))

    def killed(self, *words, after):
        """Kills git-annex once it has said `after`."""
        command = ["git-annex", *words]
        client = subprocess.Popen(command, cwd=self.client.path, env=self.client.env, stdout=subprocess.DEVNULL)
        for _ in range(400):
            if any(after in said.getvalue() for said, _ in self.relay.streams):
                break
            time.sleep(0.05)
        client.kill()
        client.wait()
        self.tell("git annex " + " ".join(words) + ", killed")

    def tell(self, title):
        exchanges = []
        for number, (said, answered) in enumerate(self.relay.taken(), 1):
            said.seek(0)
            answered.seek(0)
            while (request := read_request(said))[0]:
                if request[1] == CLOSED:
                    exchanges.append((time.monotonic_ns(), number, request, None, None))
                    break
                answer = http.client.HTTPResponse(Replayed(KeepOpen(answered)), method=request[0][0].split()[0])
                answer.begin()
                content = answer.read()
                exchanges.append((answered.now(), number, request, answer, content))
        several = len({number for _, number, *_ in exchanges}) > 1
        for _, number, (lines, body, chunks), answer, content in sorted(exchanges, key=lambda exchange: exchange[0]):
            self.out.write(f"\n-- {title}" + (f", connection {number}\n" if several else "\n"))
            for line in lines:
                self.out.write(f"> {self.same(line)}\n")
            self.out.write(f">> {self.payloads.tell(body)}\n" if body not in (b"", CLOSED) else "")
            self.out.write("".join(f">+ {self.payloads.tell(chunk)}\n" for chunk in chunks or ()))
            if answer is None:
                self.out.write("># closed\n")
                continue
            write_answer(self.out, answer, content, self.payloads.tell)
            lock = re.fullmatch(rb'{"locked":true,"lockid":"([^"]*)"}', content)
            if lock:
                self.locks.append(lock[1].decode())
            time_now = re.fullmatch(rb'{"timestamp":([0-9]+)}', content)
            if time_now:
                self.now = int(time_now[1])

    def same(self, line):
        """A line of a head, without what changes from run to run."""
        for number, lock in enumerate(self.locks, 1):
            line = line.replace(lock, f"$LOCK{number}")
        line = re.sub(r"timestamp=(\d+)", lambda found: f"timestamp=$NOW+{int(found[1]) - self.now}", line)
        return re.sub("^(Host|User-Agent):.*", r"\1: x", line)

    def partial(self, key, content):
        """From here on the repository has this of a put that was broken off."""
        with open(f"{self.repository.path}/.git/annex/tmp/{key}", "wb") as file:
            file.write(content)
        self.out.write(f"\n=+ {key} {self.payloads.tell(content)}\n")


def record_names(watched):
    """What a real client sends for names that need encoding."""
    client = watched.client
    names = ["sp ace.txt", "di r/per%cent &amp.txt", "[br].txt", "ünïcödé.txt", "plus+semi;eq=.txt", "q?h#.txt"]
    for name in names:
        client.add(name, f"named {name}\n".encode())
    client.run("git", "config", "annex.backend", "WORM")
    client.add("wo,32rm [x]%41+", b"worm\n")
    for name in [*names, "wo,32rm [x]%41+"]:
        watched.annex("copy", "--to", "origin", "--", name)
        client.run("git", "annex", "drop", "--force", "--", name)
        watched.annex("get", "--", name)
    watched.annex("drop", "--", names[0])


def record_origin(watched):
    """One file, there and back."""
    record_there_and_back(watched, "origin")


def record_behind(name):
    """The same with a remote behind the gateway."""
    return lambda watched: record_there_and_back(watched, "origin-" + name)


def record_there_and_back(watched, remote):
    watched.client.add("file", b"http content for origin 10317\n")
    for _ in range(2):
        watched.annex("copy", "--to", remote, "file")
    watched.annex("fsck", "--from", remote, "--fast", "file")
    watched.annex("fsck", "--from", remote, "file")
    watched.client.run("git", "annex", "drop", "--force", "file")
    watched.annex("get", "--from", remote, "file")
    watched.annex("drop", "file")
    watched.annex("get", "file")
    watched.annex("drop", "--from", remote, "file")
    watched.annex("drop", "--force", "--from", remote, "file")
    watched.annex("move", "--to", remote, "file")
    watched.annex("move", "--from", remote, "file")
    watched.annex("copy", "--from", remote, "f.txt")
    watched.annex("drop", "f.txt")


def record_jobs(watched):
    """Four jobs at once."""
    names = [f"hj{number}" for number in range(1, 7)]
    for name in names:
        watched.client.add(name, f"file {name} of a client with jobs\n".encode())
    watched.annex("copy", "-J4", "--to", "origin", *names)
    watched.annex("drop", "-J4", *names)
    watched.annex("get", "-J4", *names)


def record_big(watched):
    """A file of many chunks, and a get and a put that go on where another was broken off."""
    client, content = watched.client, lines(0, 3000000)
    key = key_of(content, "")
    for repository in (client, watched.repository):
        os.makedirs(f"{repository.path}/.git/annex/tmp", exist_ok=True)
    client.add("bigup", content)
    watched.annex("copy", "--to", "origin", "bigup")
    watched.annex("drop", "bigup")
    with open(f"{client.path}/.git/annex/tmp/{key}", "wb") as file:
        file.write(content[:1000000])
    watched.annex("get", "bigup")
    watched.annex("drop", "--from", "origin", "bigup")
    watched.partial(key, content[:1000000])
    watched.annex("copy", "--to", "origin", "bigup")


def record_locks_of_two(watched):
    """Content dropped from one repository while another's is locked. The other is on the client's disk."""
    client, top = watched.client, os.path.dirname(watched.client.path)
    other = Repository(top, "other", "00000000-0000-4000-8000-00000000b001")
    client.run("git", "remote", "add", "other", other.path)
    client.run("git", "annex", "sync", "--no-content", "other")
    client.add("lk", b"lock test 6571\n")
    client.run("git", "annex", "copy", "--to", "other", "lk")
    watched.annex("copy", "--to", "origin", "lk")
    client.run("git", "annex", "drop", "--force", "lk")
    watched.annex("drop", "--from", "other", "lk")
    watched.annex("copy", "--from", "origin", "--to", "other", "lk")
    watched.annex("drop", "--numcopies=2", "--from", "other", "lk", fails=True)
    # The lock in a repository that is reached over HTTP is good for so long, after which nothing may be removed.
    second = Server(other, io.StringIO(), ["--wideopen"])
    with second:
        client.run("git", "config", "remote.other.annexUrl", f"annex+http://127.0.0.1:{second.port}/git-annex/")
        watched.annex("drop", "--from", "origin", "lk")
        watched.annex("move", "--from", "other", "--to", "origin", "lk")
        client.run("git", "annex", "copy", "--from", "origin", "--to", "other", "lk")
        watched.relay.taken()
    # One that never answers, so that the client keeps its lock for as long as it lives.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client.run("git", "config", "remote.other.annexUrl", f"annex+http://127.0.0.1:{silent.getsockname()[1]}/git-annex/")
        watched.killed("drop", "--from", "other", "lk", after=b"false}")
    # The server has to notice.
    time.sleep(1)
    words = ["drop", "--force", "--from", "origin", "lk"]
    watched.annex(*words, title="remove after a client was killed that kept a lock")


def record_testremote(watched):
    """git-annex's own test of remotes. That it reaches a repository on this computer which it believes gone is let off."""
    watched.annex("testremote", "--fast", "--size=20KB", "origin", fails=True)


def record_login(watched):
    """A client that is asked for a password, has one, and has none."""
    client = watched.client
    client.run("git", "config", "credential.helper", "!f() { test $1 = get && echo username=alice && echo password=pw1; }; f")
    client.add("au", b"auth 20806\n")
    watched.annex("copy", "--to", "origin", "au")
    watched.annex("drop", "au")
    watched.annex("get", "au")
    client.run("git", "config", "--unset", "credential.helper")
    client.env.update(GIT_TERMINAL_PROMPT="0", GIT_ASKPASS="false")
    watched.annex("fsck", "--fast", "--from", "origin", "au", fails=True)


class KeepOpen(io.BufferedIOBase):
    """http.client closes what it read an answer from; the next answer follows in the same stream."""

    def __init__(self, stream):
        self.stream = stream

    def read(self, size=-1):
        return self.stream.read(size)

    def read1(self, size=-1):
        return self.stream.read(size)

    def readinto(self, buffer):
        return self.stream.readinto(buffer)

    def readline(self, size=-1):
        return self.stream.readline(size)

    def readable(self):
        return True


CLIENTS = {
    "11-client-origin": record_origin, "12-client-jobs": record_jobs, "13-client-big": record_big,
    "15-client-locks": record_locks_of_two, "16-client-testremote": record_testremote, "18-client-login": record_login,
    "20-names": record_names, "33-proxied-client-special": record_behind("d1"),
    "34-proxied-client-git": record_behind("n1"),
}


def record(name, repository, out):
    repository.run("git", "commit", "-qm", "f")
    text = io.StringIO()
    login = {"flags": ["--authenv-http"], "users": USERS} if record_login is CLIENTS[name] else {}
    with Watched(repository, text, **login) as watched:
        CLIENTS[name](watched)
    for number, blob in enumerate(watched.payloads.blobs, 1):
        out.write(f"data data{number} {base64.b64encode(blob).decode()}\n")
    out.write(text.getvalue())


if __name__ == "__main__":
    main(CLIENTS, record)
