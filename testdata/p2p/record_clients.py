#!/usr/bin/env python3
"""record_clients.py [DIRECTORY [NAME]]: what the real git-annex says over ssh to the real git-annex-shell, in the format of README.md.

Needs git, git-annex and git-annex-shell in PATH. There is no ssh: this file stands in for it under that name, runs the
command here and writes down what goes each way.
"""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from record import HERE, quote

GATEWAY = "00000000-0000-4000-8000-00000000a001"
CLIENT = "00000000-0000-4000-8000-00000000c002"
OTHER = "00000000-0000-4000-8000-00000000b001"
BEHIND = {"d1": "00000000-0000-4000-8000-00000000d001", "n1": "00000000-0000-4000-8000-00000000b002"}
CLUSTER = "ac7412cf-5f6b-8d89-beee-e97abd250740"
NODES = {"n1": OTHER, "n2": BEHIND["n1"], "d1": BEHIND["d1"], "d2": "00000000-0000-4000-8000-00000000d002"}
HELLO = ("SHA256E-s11--98c43a7d7676766d655b42f239ce26461cb26fb4141421602983cde56b806f77.txt", "hello annex")
# Longer payloads are told once, at the top of the file.
LONG = 1000
LIMIT = 60.0


def stand_in_for_ssh(directory):
    command = sys.argv[-1]
    if not re.search(r"annex-shell '", command):
        # git's own commands, and git-annex looking whether the host answers.
        os.execvp("sh", ["sh", "-c", command]) if re.match("git-|true", command) else sys.exit(0)
    mine = f"{directory}/{time.monotonic_ns():020d}-{os.getpid()}"
    open(mine + ".live", "w").close()
    server = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    events = []

    def copy(who, source, sink):
        while data := os.read(source, 1 << 20):
            events.append((time.monotonic_ns(), who, data.hex()))
            os.write(sink, data)
        events.append((time.monotonic_ns(), who, ""))
        if who == ">":
            server.stdin.close()

    threading.Thread(target=copy, args=(">", 0, server.stdin.fileno()), daemon=True).start()
    copy("<", server.stdout.fileno(), 1)
    status = server.wait()
    with open(mine + ".live", "w") as file:
        json.dump({"command": command, "events": events, "status": status}, file)
    os.rename(mine + ".live", mine + ".done")
    os._exit(status)


class Side:
    """What one side said, as messages, each with the time at which it was whole."""

    def __init__(self, who, events):
        self.messages, self.closed, held, payload = [], None, b"", 0
        for at, _, data in sorted(event for event in events if event[1] == who):
            held += bytes.fromhex(data)
            if not data:
                self.closed = at
            while held:
                if payload:
                    if len(held) < payload:
                        break
                    self.messages.append((at, who + who, held[:payload]))
                    held, payload = held[payload:], 0
                    continue
                line, end, rest = held.partition(b"\n")
                if not end:
                    break
                self.messages.append((at, who, line))
                held = rest
                if line.startswith(b"DATA "):
                    payload = int(line[5:])
        assert not held, f"half a message: {held}"


def turns_of(record, number):
    """The conversation in turns: what the client says, and what is answered. Each with the time of its end."""
    client, server = Side(">", record["events"]), Side("<", record["events"])
    turns, turn, before = [], [("run", record["command"].encode())], "<"
    for at, who, data in sorted(client.messages + server.messages, key=lambda message: message[0]):
        if who[0] == ">" and before == "<" and turn:
            turns.append((ended, number, turn))
            turn = []
        turn.append((who, data))
        before, ended = who[0], at
    turns.append((ended, number, turn))
    # A client of configlist does not speak, and closes at once.
    turns.append((max(client.closed or 0, ended + 1), number, [("close", b""), ("exit", str(record["status"]).encode())]))
    return turns


class Lab:
    """A repository that is served, and a client of it."""

    def __init__(self, top):
        self.top, self.told, self.blobs, self.behind = top, [], [], {}
        bin, self.wire = f"{top}/bin", f"{top}/wire"
        for directory in (bin, self.wire, f"{top}/home"):
            os.mkdir(directory)
        os.symlink(os.path.abspath(__file__), f"{bin}/ssh")
        with open(f"{bin}/my-annex-shell", "w") as file:
            file.write('#!/bin/sh\nexec git-annex-shell "$@"\n')
        os.chmod(f"{bin}/my-annex-shell", 0o755)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self.env.update(HOME=f"{top}/home", PATH=f"{bin}:{os.environ['PATH']}", TAPPED=self.wire, LC_ALL="C.UTF-8")
        self.env.update(GIT_CONFIG_NOSYSTEM="1")
        for who in ("AUTHOR", "COMMITTER"):
            self.env.update({f"GIT_{who}_NAME": "recorder", f"GIT_{who}_EMAIL": "recorder@localhost"})
        self.served = self.repository("served", GATEWAY)
        self.add(self.served, "a.txt", HELLO[1])
        self.run(self.served, "git", "commit", "-qm", "a")

    def repository(self, name, uuid):
        path = f"{self.top}/{name}"
        os.makedirs(path, exist_ok=True)
        self.run(path, "git", "init", "-q")
        self.run(path, "git", "config", "annex.uuid", uuid)
        self.run(path, "git", "annex", "init", "-q", name)
        return path

    def clone(self):
        """The client, as a clone over the wire."""
        self.client = f"{self.top}/client"
        self.run(self.top, "git", "clone", "-q", f"ssh://fakehost{self.served}", "client")
        self.run(self.client, "git", "config", "annex.uuid", CLIENT)

    def prepare(self):
        self.clone()
        self.run(self.client, "git", "annex", "init", "-q", "client")
        self.run(self.client, "git", "annex", "sync", "-q", "--no-content")
        self.wait()
        shutil.rmtree(self.wire)
        os.mkdir(self.wire)

    def proxy(self, *names):
        """What is served is a proxy for these, the one whose name begins with n a git repository. They have a.txt."""
        for name in names:
            self.remote(name, BEHIND[name])
            self.run(self.served, "git", "config", f"remote.{name}.annex-proxy", "true")
            self.run(self.served, "git", "annex", "copy", "-q", "--to", name, "a.txt")
        self.run(self.served, "git", "annex", "updateproxy")

    def cluster(self):
        """What is served is the gateway to a cluster of two git repositories and two special remotes."""
        self.run(self.served, "git", "config", "annex.cluster.myc", CLUSTER)
        for name, uuid in NODES.items():
            self.remote(name, uuid)
            self.run(self.served, "git", "config", f"remote.{name}.annex-cluster-node", "myc")
        self.run(self.served, "git", "annex", "updatecluster")

    def remote(self, name, uuid):
        """A remote of what is served."""
        path = f"{self.top}/{name}"
        if name[0] == "n":
            self.behind[name] = "git"
            self.repository(name, uuid)
            self.run(self.served, "git", "remote", "add", name, path)
            self.run(self.served, "git", "annex", "sync", "-q", "--no-content", name)
        else:
            self.behind[name] = "directory"
            os.mkdir(path)
            options = ["type=directory", f"directory={path}", "encryption=none", f"uuid={uuid}"]
            self.run(self.served, "git", "annex", "initremote", "-q", name, *options)

    def add(self, path, name, content):
        with open(f"{path}/{name}", "w") as file:
            file.write(content)
        self.run(path, "git", "annex", "add", "-q", "--", name)

    def run(self, path, *command, fails=False):
        done = subprocess.run(command, cwd=path, env=self.env, stdin=subprocess.DEVNULL, capture_output=True)
        if (done.returncode != 0) != fails:
            raise SystemExit(f"{command}: status {done.returncode}\n{(done.stdout + done.stderr).decode(errors='replace')}")

    def wait(self):
        """Until each server has ended."""
        limit = time.monotonic() + LIMIT
        while any(name.endswith(".live") for name in os.listdir(self.wire)):
            if time.monotonic() > limit:
                raise SystemExit("a server does not end")
            time.sleep(0.05)

    def annex(self, *words, title=None, fails=False):
        """Runs git-annex in the client; what went over the wire is one conversation."""
        title = title or "git annex " + " ".join(words)
        print(title, file=sys.stderr)
        self.run(self.client, "git", "annex", *words, fails=fails)
        self.wait()
        turns = []
        for number, name in enumerate(sorted(os.listdir(self.wire)), 1):
            with open(f"{self.wire}/{name}") as file:
                told = json.load(file)
            os.remove(f"{self.wire}/{name}")
            if self.served in told["command"]:
                turns += turns_of(told, number)
        if not turns:
            return
        self.told.append("\n== " + title)
        several, current, now = len({number for _, number, _ in turns}) > 1, None, {}
        for _, number, turn in sorted(turns):
            if several and number != current:
                self.told.append(f"conn {number}")
                current = number
            for who, data in turn:
                if data.startswith(b"TIMESTAMP "):
                    now[number], data = int(data[10:]), b"TIMESTAMP *"
                if data.startswith(b"REMOVE-BEFORE "):
                    _, timestamp, key = data.split(b" ", 2)
                    data = b"REMOVE-BEFORE $now%+d " % (int(timestamp) - now[number]) + key
                text = self.payload(data) if len(who) == 2 and len(data) > LONG else quote(data)
                text = text.replace(self.served, "$dir").replace(f"{self.top}/bin/", "") if who == "run" else text
                self.told.append(f"{who} {text}".rstrip() if who != "<" else f"{who} {text}")

    def payload(self, data):
        for number, blob in enumerate(self.blobs, 1):
            if blob.endswith(data):
                return f"$data{number}+{len(blob) - len(data)}+{len(data)}"
        self.blobs.append(data)
        return self.payload(data)


def record_setup(lab):
    """How a client gets to know the repository."""
    lab.clone()
    lab.annex("init", "-q", "sshclient")
    lab.annex("copy", "-q", "--from", "origin", "a.txt", title="git annex copy, the first time")


def record_origin(lab):
    """One file, there and back."""
    record_there_and_back(lab, "origin")


def record_there_and_back(lab, remote):
    lab.prepare()
    lab.add(lab.client, "file", "content for origin 29730\n")
    lab.annex("copy", "--to", remote, "file")
    lab.annex("copy", "--to", remote, "file", title=f"git annex copy --to {remote} file, which is there")
    lab.annex("fsck", "--from", remote, "--fast", "file")
    lab.annex("fsck", "--from", remote, "file")
    lab.run(lab.client, "git", "annex", "drop", "--force", "file")
    lab.annex("get", "--from", remote, "file")
    lab.annex("drop", "file")
    lab.annex("get", "file")
    lab.annex("drop", "--from", remote, "file")
    lab.annex("drop", "--force", "--from", remote, "file", title=f"git annex drop --force --from {remote} file, which is gone")
    lab.annex("move", "--to", remote, "file")
    lab.annex("move", "--from", remote, "file")
    lab.annex("copy", "--from", remote, "a.txt")
    lab.annex("drop", "a.txt")


def record_jobs(lab):
    """Four jobs at once."""
    record_jobs_with(lab, "origin")


def record_jobs_with(lab, remote):
    lab.prepare()
    names = [f"j{number}" for number in range(1, 7)]
    for name in names:
        lab.add(lab.client, name, f"file {name} of a client with jobs\n")
    lab.annex("copy", "-J4", "--to", remote, *names)
    lab.annex("drop", "-J4", *names)
    lab.annex("get", "-J4", *names)
    lab.annex("move", "-J4", "--to", remote, *names, title=f"git annex move -J4 --to {remote}, which has them")


def record_locks(lab):
    """Content dropped from one repository while another's is locked. What is said to the other is left out."""
    other = lab.repository("other", OTHER)
    lab.prepare()
    lab.run(lab.client, "git", "remote", "add", "other", f"ssh://fakehost{other}")
    lab.run(lab.client, "git", "annex", "sync", "-q", "--no-content", "other")
    lab.add(lab.client, "lk", "content that is locked 28712\n")
    lab.annex("copy", "--to", "other", "lk")
    lab.annex("copy", "--to", "origin", "lk")
    lab.run(lab.client, "git", "annex", "drop", "--force", "lk")
    lab.annex("drop", "--from", "other", "lk", title="git annex drop --from other lk, while origin's is locked")
    lab.annex("copy", "--from", "origin", "--to", "other", "lk")
    lab.annex("drop", "--from", "origin", "lk", title="git annex drop --from origin lk, while other's is locked")
    lab.annex("move", "--from", "other", "--to", "origin", "lk")
    lab.annex("drop", "--from", "origin", "lk", title="git annex drop --from origin lk, the only copy", fails=True)


def record_behind(name):
    def record(lab):
        lab.proxy(name)
        record_there_and_back(lab, "origin-" + name)

    record.__doc__ = f"One file, there and back, with the remote {name} behind the repository."
    return record


def record_jobs_behind(lab):
    """Four jobs at once, with a special remote behind the repository."""
    lab.proxy("d1")
    record_jobs_with(lab, "origin-d1")


def record_locks_behind(lab):
    """Content dropped from what is behind the repository while the repository's is locked, and the other way about."""
    lab.proxy("d1", "n1")
    lab.prepare()
    for name in ("n1", "d1"):
        remote = "origin-" + name
        lab.annex("drop", "--from", remote, "a.txt", fails=name == "d1")
        if name == "n1":
            lab.annex("copy", "--from", "origin", "--to", remote, "a.txt")
    lab.annex("drop", "--from", "origin", "a.txt", title="git annex drop --from origin a.txt, which others have")


def record_testremote_behind(lab):
    """git-annex's own test of remotes, with a special remote behind the repository."""
    lab.proxy("d1")
    lab.prepare()
    lab.annex("testremote", "--fast", "--size=20KB", "origin-d1", fails=True)


def record_testremote_cluster(lab):
    """git-annex's own test of remotes, with a cluster behind the repository."""
    lab.cluster()
    lab.prepare()
    lab.annex("testremote", "--fast", "--size=20KB", "origin-myc", fails=True)
    lab.behind = {}


def record_settings(lab):
    """Settings of the client: another name for git-annex-shell, and how ssh is run."""
    lab.prepare()
    lab.run(lab.client, "git", "config", "remote.origin.annex-shell", f"{lab.top}/bin/my-annex-shell")
    lab.annex("copy", "--from", "origin", "a.txt", title="git annex copy with remote.origin.annex-shell")
    lab.run(lab.client, "git", "config", "--unset", "remote.origin.annex-shell")
    lab.run(lab.client, "git", "config", "remote.origin.annex-ssh-options", "-i /nonexistent -p 2222")
    lab.run(lab.client, "git", "annex", "drop", "--force", "a.txt")
    lab.annex("copy", "--from", "origin", "a.txt", title="git annex copy with remote.origin.annex-ssh-options")
    lab.run(lab.client, "git", "config", "annex.sshcaching", "false")
    lab.annex("fsck", "--fast", "--from", "origin", "a.txt", title="git annex fsck with annex.sshcaching=false")


def record_testremote(lab):
    """git-annex's own test of remotes. The repositories on this computer that it finds unreachable are let off."""
    lab.prepare()
    lab.annex("testremote", "--fast", "--size=20KB", "origin", fails=True)


RECORDINGS = {
    "client-setup": record_setup, "client-origin": record_origin, "client-jobs": record_jobs,
    "client-locks": record_locks, "client-settings": record_settings, "client-testremote": record_testremote,
    "proxied-client-special": record_behind("d1"), "proxied-client-git": record_behind("n1"),
    "proxied-client-jobs": record_jobs_behind, "proxied-client-locks": record_locks_behind,
    "proxied-client-testremote": record_testremote_behind, "cluster-client-testremote": record_testremote_cluster,
}


def record(name, into):
    top = tempfile.mkdtemp(prefix="p2pstdio-")
    try:
        lab = Lab(top)
        RECORDINGS[name](lab)
    finally:
        subprocess.run(["chmod", "-R", "u+w", top], check=False)
        shutil.rmtree(top)
    version = subprocess.run(["git-annex", "version", "--raw"], capture_output=True, text=True, check=True).stdout
    what = RECORDINGS[name].__doc__
    with open(f"{into}/{name}.txt", "w") as file:
        file.write(f"# {what}\n# Recorded with git-annex {version.split('-')[0]}. To record again: testdata/p2p/record_clients.py\n\n")
        file.write(f"name uuid {GATEWAY}\nname hello {HELLO[0]}\nhave hello {HELLO[1]}\n")
        for behind, kind in lab.behind.items():
            file.write(f"name {behind} {BEHIND[behind]}\nbehind {behind} {kind}\nholds {behind} hello {HELLO[1]}\n")
        for number, blob in enumerate(lab.blobs, 1):
            file.write(f"data data{number} {base64.b64encode(blob).decode()}\n")
        if name.startswith("cluster-"):
            for node, uuid in {"myc": CLUSTER, **NODES}.items():
                file.write(f"name {node} {uuid}\n")
        names = {"uuid": GATEWAY, "hello": HELLO[0], **{behind: BEHIND[behind] for behind in lab.behind}}
        names.update({"myc": CLUSTER, **NODES} if name.startswith("cluster-") else {})
        for line in lab.told:
            for name, value in names.items():
                line = line.replace(value, "$" + name)
            file.write(line + "\n")


if __name__ == "__main__":
    if "TAPPED" in os.environ:
        stand_in_for_ssh(os.environ["TAPPED"])
    for wanted in sys.argv[2:] or RECORDINGS:
        record(wanted, sys.argv[1] if len(sys.argv) > 1 else HERE)
