#!/usr/bin/env python3
"""record.py FILE...: holds the conversations of these files with the git-annex in PATH and writes down its side anew.

The format is told in README.md. Lines of the client are kept, lines of the server are replaced.
"""
import os
import re
import select
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT = "00000000-0000-4000-8000-00000000c001"
# Nothing more is expected once the server was silent for this long, in seconds.
SILENCE, START = 0.7, 10.0
UNASKED = ("<", "<<", "gone", "exit")
REPORTS = "ERROR proxied special remote reports: "


def unquote(text):
    run = re.fullmatch(r"(\d+)\*x", text)
    if run:
        return b"x" * int(run[1])
    parts = re.split(r"(\\n|\\x[0-9a-f]{2})", text)
    escape = lambda part: b"\n" if part == "\\n" else bytes([int(part[2:], 16)])
    return b"".join(escape(part) if part.startswith("\\") else part.encode() for part in parts)


def quote(data):
    if len(data) > 1000 and set(data) == {ord("x")}:
        return f"{len(data)}*x"
    return "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else "\\n" if byte == 10 else f"\\x{byte:02x}" for byte in data)


class Connection:
    def __init__(self, repository, environment, uuid):
        command = ["git-annex-shell", "p2pstdio", repository, CLIENT] + (["--uuid", uuid] if uuid else [])
        self.server = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        self.buffer, self.payload, self.gone, self.now = b"", 0, False, 0

    def listen(self, patience):
        """What the server says until it is silent, as lines of a transcript."""
        while not self.gone and select.select([self.server.stdout], [], [], patience)[0]:
            data = os.read(self.server.stdout.fileno(), 1 << 20)
            self.buffer += data
            self.gone = not data
            patience = min(patience, SILENCE)
        said = []
        while self.buffer:
            if self.payload:
                said.append("<< " + quote(self.buffer[: self.payload]))
                self.buffer, self.payload = self.buffer[self.payload :], 0
                continue
            line, _, self.buffer = self.buffer.partition(b"\n")
            text = line.decode()
            if text.startswith("DATA "):
                self.payload = int(text[5:])
            if text.startswith("TIMESTAMP "):
                self.now, text = int(text[10:]), "TIMESTAMP *"
            if text.startswith(REPORTS):
                text = REPORTS + "*"
            said.append("< " + text)
        return said

    def write(self, data):
        try:
            self.server.stdin.write(data)
        except BrokenPipeError:
            pass


class Repository:
    def __init__(self, uuid):
        self.home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.path = self.home.name + "/repository"
        self.environment = dict(os.environ, HOME=self.home.name)
        self.behind = {}
        os.mkdir(self.path)
        for command in (
            ["git", "init", "-q"],
            ["git", "config", "user.name", "recorder"],
            ["git", "config", "user.email", "recorder@localhost"],
            ["git", "config", "annex.uuid", uuid],
            ["git", "annex", "init", "-q"],
        ):
            self.run(command)

    def run(self, command):
        subprocess.run(command, cwd=self.path, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def setkey(self, key, content):
        path = self.home.name + "/content"
        with open(path, "wb") as file:
            file.write(unquote(content))
        self.run(["git", "annex", "setkey", key, path])

    def add_behind(self, name, kind, uuid):
        """Makes it the proxy of one more remote."""
        self.behind[uuid] = remote = (Repository if kind == "git" else Directory)(uuid)
        if kind == "git":
            self.run(["git", "remote", "add", name, remote.path])
            self.run(["git", "config", f"remote.{name}.annex-uuid", uuid])
            self.run(["git", "fetch", "-q", remote.path, "git-annex:refs/remotes/" + name + "/git-annex"])
        else:
            options = ["type=directory", f"directory={remote.path}", "encryption=none", f"uuid={uuid}"]
            self.run(["git", "annex", "initremote", "-q", name, *options])
        self.run(["git", "config", f"remote.{name}.annex-proxy", "true"])
        self.run(["git", "annex", "updateproxy"])

    def at(self, uuid):
        """What is served under this uuid."""
        return self.behind.get(uuid, self)

    def expire(self, key):
        for directory, _, names in os.walk(self.path + "/.git/annex/objects"):
            if key + ".rtm" in names:
                path = f"{directory}/{key}.rtm"
                os.chmod(path, 0o644)
                with open(path, "w") as file:
                    file.write("10s")


class Directory:
    """A directory special remote."""

    def __init__(self, _):
        self.home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.path = self.home.name + "/directory"
        os.mkdir(self.path)

    def setkey(self, key, content):
        hashdir = subprocess.run(
            ["git-annex", "examinekey", "--format", "${hashdirlower}", key], check=True, capture_output=True, text=True
        ).stdout
        os.makedirs(f"{self.path}/{hashdir}{key}")
        with open(f"{self.path}/{hashdir}{key}/{key}", "wb") as file:
            file.write(unquote(content))

    def unplug(self):
        os.rename(self.path, self.path + ".gone")

    def plug(self):
        os.rename(self.path + ".gone", self.path)


def hold(repository, environment, uuid, items):
    """One conversation with what is served under `uuid`: `items` with the server's side replaced."""
    connections, current, pending, told = {}, "", b"", []
    environment = dict(repository.environment, **environment)
    for item, after in zip(items, items[1:] + ["end"]):
        word, _, rest = item.partition(" ")
        if word == "conn":
            current = rest
            told.append(item)
        if current not in connections:
            connections[current] = Connection(repository.path, environment, uuid)
            told += connections[current].listen(START)
        if word == "conn" or word in UNASKED:
            continue
        connection = connections[current]
        told.append(item)
        was_gone = connection.gone
        if word in (">", ">>"):
            for name, offset in re.findall(r"(\$now([+-]\d+))", rest):
                rest = rest.replace(name, str(connection.now + int(offset)))
            pending += unquote(rest) + (b"\n" if word == ">" else b"")
            if after.startswith(">"):
                continue
            connection.write(pending)
            pending = b""
            told += connection.listen(SILENCE)
            if connection.gone and not was_gone:
                told.append("gone")
        elif word == "close":
            connection.server.stdin.close()
            told += connection.listen(START)
            told.append(f"exit {connection.server.wait(START)}")
        elif word == "kill":
            connection.server.kill()
            connection.server.wait(START)
        elif word == "setkey":
            repository.at(uuid).setkey(*rest.split(" ", 1))
        elif word in ("unplug", "plug"):
            getattr(repository.at(uuid), word)()
        elif word == "expire":
            repository.expire(rest)
    return told


def record(path):
    with open(path) as file:
        lines = file.read().split("\n")
    names, repository, written, section, environment, to = {}, None, [], None, {}, None

    def expand(text):
        for name, value in names.items():
            text = text.replace("$" + name, value)
        return text

    def finish():
        nonlocal section
        if section is not None:
            told = hold(repository, environment, to, [expand(item) for item in section])
            for name, value in names.items():
                told = [item.replace(value, "$" + name) for item in told]
            written.extend(told + [""])
        section = None

    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "==":
            finish()
            section, environment, to = [], {}, None
            written.append(line)
            print(line, file=sys.stderr)
        elif word == "env" and section is not None:
            name, _, value = rest.partition("=")
            environment[name] = value
            written.append(line)
        elif word == "to" and section is not None:
            to = names[rest]
            written.append(line)
        elif section is not None:
            section += [line] if line else []
        else:
            written.append(line)
            if word == "name":
                name, _, value = rest.partition(" ")
                names[name] = value
                if name == "uuid":
                    repository = Repository(value)
            elif word == "have":
                name, _, content = rest.partition(" ")
                repository.setkey(names[name], content)
            elif word == "behind":
                name, _, kind = rest.partition(" ")
                repository.add_behind(name, kind, names[name])
            elif word == "holds":
                remote, name, content = rest.split(" ", 2)
                repository.at(names[remote]).setkey(names[name], content)
    finish()
    with open(path, "w") as file:
        file.write("\n".join(written).rstrip("\n") + "\n")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        record(argument if os.path.exists(argument) else os.path.join(HERE, argument))
