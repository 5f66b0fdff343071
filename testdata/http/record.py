#!/usr/bin/env python3
"""record.py [DIRECTORY [TRANSCRIPT]]: asks the real `git annex p2phttp` and writes what it answers, in the format of README.md.

Needs git, git-annex and python3; uses ports of its own choice on 127.0.0.1 and a scratch directory.
"""
import base64, hashlib, http.client, os, re, shutil, socket, subprocess, sys, tempfile, time

GATEWAY = "00000000-0000-4000-8000-00000000a001"
CLIENT = "00000000-0000-4000-8000-00000000c001"
BASE = f"/git-annex/{GATEWAY}"
BEHIND = {"d1": "00000000-0000-4000-8000-00000000d001", "n1": "00000000-0000-4000-8000-00000000b001"}
# Nothing comes any more after so long, in seconds, where that is to be expected.
HANGS = 4
HEADERS = ("content-type", "x-git-annex-data-length", "www-authenticate")
USERS = {
    "GIT_ANNEX_P2PHTTP_PASSWORD_alice": "pw1",
    "GIT_ANNEX_P2PHTTP_PASSWORD_bob": "pw2", "GIT_ANNEX_P2PHTTP_PERMISSIONS_bob": "readonly",
    "GIT_ANNEX_P2PHTTP_PASSWORD_carol": "pw3", "GIT_ANNEX_P2PHTTP_PERMISSIONS_carol": "appendonly",
}


def key_of(content, suffix):
    return f"SHA256E-s{len(content)}--{hashlib.sha256(content).hexdigest()}{suffix}"


HELLO = b"hello annex"
PRESENT = key_of(HELLO, ".txt")
ABSENT = key_of(b"gone", ".txt")


def escape(data):
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in data)


class Repository:
    def __init__(self, top, name, uuid, settings=()):
        self.path = os.path.join(top, name)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "AWS_"))}
        self.env.update(HOME=os.path.join(top, "home"), GIT_CONFIG_NOSYSTEM="1", LC_ALL="C.UTF-8")
        for who in ("AUTHOR", "COMMITTER"):
            self.env.update({f"GIT_{who}_NAME": "x", f"GIT_{who}_EMAIL": "x@example.org"})
        os.makedirs(self.env["HOME"], exist_ok=True)
        os.mkdir(self.path)
        self.run("git", "init", "-q")
        self.run("git", "config", "annex.uuid", uuid)
        for command in settings:
            self.run(*command)
        self.run("git", "annex", "init", name)

    def run(self, *command, fails=False):
        done = subprocess.run(command, cwd=self.path, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if (done.returncode != 0) != fails:
            raise SystemExit(f"{command} failed: {done.stdout.decode(errors='replace')}")

    def proxy(self, name):
        """It is the proxy of one more remote, a git repository where its name begins with n, that has f.txt."""
        path = os.path.join(os.path.dirname(self.path), name)
        if name[0] == "n":
            Repository(os.path.dirname(self.path), name, BEHIND[name])
            self.run("git", "remote", "add", name, path)
        else:
            os.mkdir(path)
            options = ["type=directory", f"directory={path}", "encryption=none", f"uuid={BEHIND[name]}"]
            self.run("git", "annex", "initremote", name, *options)
        self.run("git", "config", f"remote.{name}.annex-proxy", "true")
        self.run("git", "annex", "copy", "--to", name, "f.txt")
        self.run("git", "annex", "updateproxy")

    def add(self, name, content):
        path = os.path.join(os.fsencode(self.path), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        self.run("git", "annex", "add", "--", name)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A running p2phttp; writes every exchange to `out`."""

    def __init__(self, repository, out, flags, users=()):
        self.out, self.lockid = out, "none"
        self.port = free_port()
        env = dict(repository.env, **dict(users))
        command = ["git-annex", "p2phttp", "-J4", "--bind", "127.0.0.1", "--port", str(self.port), *flags]
        self.process = subprocess.Popen(command, cwd=repository.path, env=env, stderr=subprocess.DEVNULL)
        self.number = 87687
        out.write(f"== {' '.join(flags)}\n")

    def __enter__(self):
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise SystemExit("p2phttp does not listen")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def fresh(self):
        self.number += 1
        content = f"fresh content number {self.number:06d}".encode()
        return key_of(content, ".dat"), content

    def ask(self, name, request, headers=(), body=None, chunks=None, cut=False, host=True, version="1.1", hangs=False):
        """`cut`: the connection is closed after the body, which is shorter than announced. `hangs`: there may be no answer."""
        lines = [f"{request} HTTP/{version}"] + (["Host: localhost"] if host else []) + list(headers)
        if body is not None and not cut:
            lines.append(f"Content-Length: {len(body)}")
        self.out.write(f"\n-- {name}\n" + "".join(f"> {line}\n" for line in lines))
        raw = "".join(line + "\r\n" for line in lines).replace("$LOCKID", self.lockid).encode() + b"\r\n"
        raw += body or b""
        for chunk in chunks or ():
            raw += b"%x\r\n%s\r\n" % (len(chunk), chunk)
        if chunks and not cut:
            raw += b"0\r\n\r\n"
        if body:
            self.out.write(f">> {escape(body)}\n")
        for chunk in chunks or ():
            self.out.write(f">+ {escape(chunk)}\n")
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.settimeout(10)
            connection.sendall(raw)
            if cut:
                self.out.write("># closed\n")
                time.sleep(0.3)
                return None
            answer = http.client.HTTPResponse(connection, method=request.split()[0])
            try:
                connection.settimeout(HANGS if hangs else 10)
                answer.begin()
                content = answer.read()
            except TimeoutError:
                self.out.write("< hangs\n")
                return None
        write_answer(self.out, answer, content)
        found = re.search(rb'"lockid":"([^"]*)"', content)
        if found:
            self.lockid = found[1].decode()
        time.sleep(0.3 if cut else 0)
        return answer.status


def write_answer(out, answer, content, tell=escape):
    content = re.sub(rb'"lockid":"[^"]*"', b'"lockid":"LOCKID"', content)
    content = re.sub(rb'"timestamp":[0-9]*', b'"timestamp":SECONDS', content)
    out.write(f"< {answer.status}\n")
    for name, value in answer.getheaders():
        if name.lower() in HEADERS:
            out.write(f"< {name}: {value}\n")
    if content:
        out.write(f"<< {tell(content)}\n")


def length(count):
    return f"X-git-annex-data-length: {count}"


def endpoints(server, version):
    ask, (key, content) = server.ask, server.fresh()
    at = f"{BASE}/v{version}"
    both = f"key={key}&clientuuid={CLIENT}"
    name = f"v{version} "
    ask(name + "checkpresent present", f"POST {at}/checkpresent?key={PRESENT}&clientuuid={CLIENT}")
    ask(name + "checkpresent absent", f"POST {at}/checkpresent?key={ABSENT}&clientuuid={CLIENT}")
    ask(name + "gettimestamp", f"POST {at}/gettimestamp?clientuuid={CLIENT}")
    ask(name + "putoffset", f"POST {at}/putoffset?{both}")
    for what in ("put", "put again"):
        ask(name + what, f"POST {at}/put?{both}", ["Content-Type: application/octet-stream", length(27)], content)
    ask(name + "putoffset already have", f"POST {at}/putoffset?{both}")
    get = f"GET {at}/key/{key}?clientuuid={CLIENT}"
    ask(name + "GET", f"{get}&associatedfile=foo")
    ask(name + "GET without clientuuid", f"GET {at}/key/{key}")
    for offset in (5, 27, 999):
        ask(name + f"GET offset={offset}", f"{get}&offset={offset}")
    ask(name + "GET absent", f"GET {at}/key/{ABSENT}?clientuuid={CLIENT}")
    ask(name + "HEAD", f"HEAD {at}/key/{key}?clientuuid={CLIENT}")
    ask(name + "lockcontent", f"POST {at}/lockcontent?{both}")
    ask(name + "lockcontent absent", f"POST {at}/lockcontent?key={ABSENT}&clientuuid={CLIENT}")
    ask(name + "remove while locked", f"POST {at}/remove?{both}")
    ask(name + "keeplocked unlock", f"POST {at}/keeplocked?lockid=$LOCKID&clientuuid={CLIENT}",
        ["Content-Type: application/json"], b'{"unlock": true}')
    ask(name + "remove-before in the past", f"POST {at}/remove-before?{both}&timestamp=1")
    ask(name + "remove-before in the future", f"POST {at}/remove-before?{both}&timestamp=99999999")
    ask(name + "remove", f"POST {at}/remove?{both}")
    ask(name + "remove again", f"POST {at}/remove?{both}")


def record_endpoints(repository, out):
    with Server(repository, out, ["--wideopen"]) as server:
        for version in range(5):
            endpoints(server, version)
        for method in ("GET", "HEAD"):
            server.ask(f"unversioned {method}", f"{method} {BASE}/key/{PRESENT}")
            server.ask(f"unversioned {method} absent", f"{method} {BASE}/key/{ABSENT}")
        server.ask("unversioned GET Range", f"GET {BASE}/key/{PRESENT}", ["Range: bytes=2-4"])
        server.ask("unversioned GET offset", f"GET {BASE}/key/{PRESENT}?offset=5")
        server.ask("unversioned POST checkpresent", f"POST {BASE}/checkpresent?key={PRESENT}&clientuuid={CLIENT}")


def record_errors(repository, out):
    with Server(repository, out, ["--wideopen"]) as server:
        ask, c = server.ask, f"clientuuid={CLIENT}"
        both = f"key={PRESENT}&{c}"
        check = f"POST {BASE}/v4/checkpresent"
        wrapped = "[" + base64.urlsafe_b64encode(PRESENT.encode()).decode() + "]"
        unknown = "/git-annex/00000000-0000-4000-8000-0000000fffff"
        ask("GET malformed key", f"GET {BASE}/v4/key/notakey?{c}")
        ask("GET unversioned malformed key", f"GET {BASE}/key/notakey")
        ask("GET unknown uuid", f"GET {unknown}/v4/key/{PRESENT}?{c}")
        ask("GET unversioned unknown uuid", f"GET {unknown}/key/{PRESENT}")
        ask("GET garbage uuid", f"GET /git-annex/foo/v4/key/{PRESENT}?{c}")
        ask("POST unknown uuid", f"POST {unknown}/v4/checkpresent?{both}")
        for version in ("v9", "v5", "v"):
            ask(f"{version} checkpresent", f"POST {BASE}/{version}/checkpresent?{both}")
        ask("v9 GET", f"GET {BASE}/v9/key/{PRESENT}?{c}")
        for name, query in [
            ("missing clientuuid", f"key={PRESENT}"), ("empty clientuuid", f"key={PRESENT}&clientuuid="),
            ("clientuuid garbage", f"key={PRESENT}&clientuuid=foo"), ("missing key", c), ("empty key", f"key=&{c}"),
            ("malformed key", f"key=notakey&{c}"), ("key base64url", f"key={wrapped}&{c}"),
            ("key base64url percent", f"key=%5B{wrapped[1:-1]}%5D&{c}"),
            ("key base64url unpadded", f"key={wrapped.replace('=', '')}&{c}"), ("key not base64", f"key=[!!!]&{c}"),
            ("bypass", f"{both}&bypass=x&bypass=y"), ("bypass[]", f"{both}&bypass[]=x"),
            ("empty bypass", f"{both}&bypass="), ("two keys", f"key={PRESENT}&key=notakey&{c}"),
            ("semicolon", f"key={PRESENT};{c}"), ("key with newline", f"key=A--b%0ac&{c}"),
            ("clientuuid with space", f"key={PRESENT}&clientuuid=a%20b"),
        ]:
            ask(name, f"{check}?{query}")
        ask("uuid base64url", f"GET /git-annex/[{base64.urlsafe_b64encode(GATEWAY.encode()).decode()}]/key/{PRESENT}")
        ask("key base64url in path", f"GET {BASE}/v4/key/{wrapped}?{c}")
        for method in ("GET", "OPTIONS", "HEAD"):
            ask(f"{method} checkpresent", f"{method} {BASE}/v4/checkpresent?{both}")
        for method in ("POST", "DELETE"):
            ask(f"{method} key", f"{method} {BASE}/v4/key/{PRESENT}?{c}")
            ask(f"{method} unversioned key", f"{method} {BASE}/key/{PRESENT}")
        ask("PUT put", f"PUT {BASE}/v4/put?{both}", body=b"x")
        for path in ("/", "/git-annex/", BASE, f"{BASE}/v4", f"/prefix{BASE}/key/{PRESENT}"):
            ask(f"GET {path.replace(PRESENT, 'KEY')}", f"GET {path}")
        ask("unknown endpoint", f"POST {BASE}/v4/foo?{c}")
        ask("trailing slash", f"POST {BASE}/v4/checkpresent/?{both}")
        ask("double slash prefix", f"POST /{BASE}/v4/checkpresent?{both}")
        ask("Accept text on JSON", f"{check}?{both}", ["Accept: text/plain"])
        ask("Accept JSON on GET", f"GET {BASE}/v4/key/{PRESENT}?{c}", ["Accept: application/json"])
        ask("Accept JSON on unversioned GET", f"GET {BASE}/key/{PRESENT}", ["Accept: application/json"])
        ask("Accept octets", f"GET {BASE}/v4/key/{PRESENT}?{c}", ["Accept: application/octet-stream"])
        ask("checkpresent with a body", f"{check}?{both}", body=b'{"key":"x"}')
        ask("GET offset junk", f"GET {BASE}/v4/key/{PRESENT}?{c}&offset=x")
        ask("GET offset in hex", f"GET {BASE}/v4/key/{PRESENT}?{c}&offset=0x3")
        ask("gettimestamp missing clientuuid", f"POST {BASE}/v4/gettimestamp")
        ask("remove-before missing timestamp", f"POST {BASE}/v4/remove-before?key={ABSENT}&{c}")
        ask("remove-before junk timestamp", f"POST {BASE}/v4/remove-before?key={ABSENT}&{c}&timestamp=x")
        record_puts(server, c)
        record_locks(server, both, c)
        ask("no Host", f"{check}?{both}", host=False)
        ask("HTTP/1.0", f"{check}?{both}", host=False, version="1.0")
        ask("two lengths", f"{check}?{both}", ["Content-Length: 0"], body=b"")


def record_puts(server, c):
    def put(name, key, headers=(), offset="", **more):
        server.ask(name, f"POST {BASE}/v4/put?key={key}&{c}{offset}", list(headers), **more)

    def after(key):
        server.ask("putoffset after", f"POST {BASE}/v4/putoffset?key={key}&{c}")

    key, content = server.fresh()
    put("put without data-length", key, body=content)
    put("put junk data-length", key, [length("x")], body=content)
    put("put negative data-length", key, [length(-1)], body=content)
    put("put without type", key, [length(27)], body=content)
    after(key)
    key, content = server.fresh()
    put("put text", key, [length(27), "Content-Type: text/plain"], body=content)
    key, content = server.fresh()
    put("put body too short", key, [length(27)], body=content[:10])
    after(key)
    put("put resumed at 10", key, [length(17)], "&offset=10", body=content[10:])
    for name, count, change in [
        ("put body too long", 27, lambda c: c + b"EXTRA"), ("put longer than the key", 32, lambda c: c + b"EXTRA"),
        ("put shorter than the key", 10, lambda c: c[:10]), ("put other content", 27, lambda c: c[:-1] + b"X"),
    ]:
        key, content = server.fresh()
        put(name, key, [length(count)], body=change(content))
        after(key)
    key, content = server.fresh()
    put("put chunked", key, [length(27), "Transfer-Encoding: chunked"], chunks=[content[:5], content[5:]])
    key, content = server.fresh()
    put("put chunked and gone", key, [length(27), "Transfer-Encoding: chunked"], chunks=[content[:5]], cut=True)
    after(key)
    put("put resumed at 5", key, [length(22)], "&offset=5", body=content[5:])
    key, content = server.fresh()
    put("put gone midway", key, [length(27), "Content-Length: 27"], body=content[:9], cut=True)
    time.sleep(2)
    after(key)
    put("put at a smaller offset", key, [length(24)], "&offset=3", body=content[3:])
    key, content = server.fresh()
    put("put at an offset too large", key, [length(22)], "&offset=5", body=content[5:])
    after(key)
    for version in ("v4", "v3"):
        for data_present in ("true", "false", "junk"):
            server.ask(f"put {version} data-present={data_present}",
                       f"POST {BASE}/{version}/put?key={ABSENT}&{c}&data-present={data_present}", [length(4)], b"")
            server.ask(f"put {version} data-present={data_present} of what is there",
                       f"POST {BASE}/{version}/put?key={PRESENT}&{c}&data-present={data_present}", [length(0)])
    server.ask("putoffset after", f"POST {BASE}/v4/putoffset?key={ABSENT}&{c}")


def record_locks(server, both, c):
    keep = f"POST {BASE}/v4/keeplocked?lockid=$LOCKID&{c}"
    server.ask("keeplocked unknown", f"POST {BASE}/v4/keeplocked?lockid=nosuch&{c}", body=b'{"unlock": true}')
    server.ask("keeplocked without lockid", f"POST {BASE}/v4/keeplocked?{c}", body=b'{"unlock": true}')
    for name, body in [("unlock", b'{"unlock": true}\n'), ("junk", b"junk\n"), ("empty", b""), ("false", b'{"unlock":false}\n')]:
        server.ask(f"lockcontent before {name}", f"POST {BASE}/v4/lockcontent?{both}")
        server.ask(f"keeplocked {name}", keep, body=body)
        server.ask(f"remove after {name}", f"POST {BASE}/v4/remove?{both}")
        server.ask("put back", f"POST {BASE}/v4/put?{both}", [length(11)], HELLO)
    server.ask("lockcontent before chunks", f"POST {BASE}/v4/lockcontent?{both}")
    server.ask("keeplocked chunks", keep, ["Transfer-Encoding: chunked"],
               chunks=[b'{"unlock":false}\n', b'{"unl', b'ock":true}\n'])


def record_auth(repository, out):
    combinations = [
        [], ["--authenv-http"], ["--authenv-http", "--unauth-readonly"], ["--authenv", "--unauth-readonly"],
        ["--unauth-readonly"], ["--authenv-http", "--unauth-readonly", "--unauth-nolocking"],
        ["--unauth-appendonly", "--unauth-nolocking"], ["--authenv-http", "--wideopen"],
    ]
    for combination in combinations:
        with Server(repository, out, combination, USERS) as server:
            for who in ("", "alice:pw1", "bob:pw2", "carol:pw3", "alice:x", "zed:"):
                header = ["Authorization: Basic " + base64.b64encode(who.encode()).decode()] if who else []
                ask_all(server, who or "anonymous", header)
            for header in ("Basic !!!", "Bearer abc"):
                server.ask(f"{header}: checkpresent", f"POST {BASE}/v4/checkpresent?key={PRESENT}&clientuuid={CLIENT}",
                           [f"Authorization: {header}"])
            server.ask("anonymous: bad key", f"POST {BASE}/v4/remove?key=notakey&clientuuid={CLIENT}")


def ask_all(server, who, header):
    c, (key, content) = f"clientuuid={CLIENT}", server.fresh()
    ask = lambda name, request, **more: server.ask(f"{who}: {name}", request, header + more.pop("headers", []), **more)
    ask("checkpresent", f"POST {BASE}/v4/checkpresent?key={PRESENT}&{c}")
    ask("GET", f"GET {BASE}/v4/key/{PRESENT}?{c}")
    ask("unversioned GET", f"GET {BASE}/key/{PRESENT}")
    ask("put", f"POST {BASE}/v4/put?key={key}&{c}", headers=[length(27)], body=content)
    ask("putoffset", f"POST {BASE}/v4/putoffset?key={key}&{c}")
    if ask("lockcontent", f"POST {BASE}/v4/lockcontent?key={PRESENT}&{c}") == 200:
        ask("keeplocked", f"POST {BASE}/v4/keeplocked?lockid=$LOCKID&{c}", body=b'{"unlock": true}\n')
    else:
        ask("keeplocked", f"POST {BASE}/v4/keeplocked?lockid=foo&{c}", body=b'{"unlock": true}\n')
    ask("remove", f"POST {BASE}/v4/remove?key={ABSENT}&{c}")
    ask("remove-before", f"POST {BASE}/v4/remove-before?key={ABSENT}&timestamp=99999999&{c}")
    ask("gettimestamp", f"POST {BASE}/v4/gettimestamp?{c}")
    ask("unknown uuid", f"POST /git-annex/00000000-0000-4000-8000-0000000fffff/v4/checkpresent?key={PRESENT}&{c}")


def record_journal(repository, out):
    """When what was recorded is in the journal and in the branch."""
    c = f"clientuuid={CLIENT}"

    def observe(when, key):
        out.write(f"=? {when}: {recorded_of(repository, key)}\n")

    with Server(repository, out, ["--wideopen"]) as server:
        for number in range(1, 4):
            key, content = server.fresh()
            server.ask(f"put {number}", f"POST {BASE}/v4/put?key={key}&{c}", [length(27)], content)
            time.sleep(0.1)
            observe("0.1 s", key)
            time.sleep(2.9)
            observe("3 s", key)
            server.ask(f"remove {number}", f"POST {BASE}/v4/remove?key={key}&{c}")
            observe("0 s", key)
    observe("after SIGTERM", key)


def recorded_of(repository, key):
    """The location log of a key, in the journal and in the git-annex branch."""
    path = ".git/annex/journal/*" + key + ".log"
    journal = subprocess.run(f"cat {path}", shell=True, cwd=repository.path, capture_output=True)
    branch = subprocess.run(["git", "grep", "-h", "", "git-annex", "--", f"*{key}.log"],
                            cwd=repository.path, env=repository.env, capture_output=True)
    told = [re.sub(r"^[0-9.]+s", "SECONDSs", done.stdout.decode().strip()) or "nothing" for done in (journal, branch)]
    return f"journal {told[0]}, branch {told[1]}"


RECORDINGS = {
    "01-endpoints": record_endpoints, "02-errors": record_errors, "03-auth": record_auth, "19-journal": record_journal,
}


def main(names, record):
    """Writes the wanted ones of `names`; `record` is given the name, a repository and where to write."""
    into = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    version = subprocess.run(["git-annex", "version", "--raw"], capture_output=True, text=True, check=True).stdout.strip()
    for name in names:
        if len(sys.argv) > 2 and sys.argv[2] != name:
            continue
        top = tempfile.mkdtemp(prefix="p2phttp-")
        try:
            repository = Repository(top, "gateway", GATEWAY)
            repository.add("f.txt", HELLO)
            if "-proxied-" in name:
                repository.proxy("n1" if name.endswith("-git") else "d1")
            with open(os.path.join(into, name + ".txt"), "w") as out:
                out.write(f"# git-annex {version.split('-')[0]}\n")
                record(name, repository, out)
        finally:
            subprocess.run(["chmod", "-R", "u+w", top], check=False)
            shutil.rmtree(top)


if __name__ == "__main__":
    main(RECORDINGS, lambda name, repository, out: RECORDINGS[name](repository, out))
