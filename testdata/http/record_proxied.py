#!/usr/bin/env python3
"""record_proxied.py [DIRECTORY [TRANSCRIPT]]: asks the real `git annex p2phttp` for remotes behind its repository, and writes
what it answers, in the format of README.md.

Needs git, git-annex and python3; uses ports of its own choice on 127.0.0.1 and a scratch directory.
"""
import itertools, time

from record import ABSENT, BEHIND, CLIENT, GATEWAY, HELLO, PRESENT, Server, key_of, length, main


def record_proxied(name):
    """The endpoints for a remote behind the gateway. Where requests may hang, each that might has a server of its own."""
    at, hanging = f"/git-annex/{BEHIND[name]}", name[0] == "d"

    def record(repository, out):
        numbers = itertools.count(87788)

        def fresh():
            content = f"fresh content number {next(numbers):06d}".encode()
            return key_of(content, ".dat"), content

        def ask(requests, alone=hanging):
            for some in [[request] for request in requests] if alone else [requests]:
                with Server(repository, out, ["--wideopen"]) as server:
                    for request, more in some:
                        server.ask(*request, **more, hangs=alone)
                        # The server has to notice that the client has gone.
                        time.sleep(2 if "cut" in more else 0)

        for version in range(5):
            sure, others = proxied_endpoints(fresh, f"{at}/v{version}", version)
            ask(sure, alone=hanging and version == 1)
            ask(others + (proxied_puts(fresh, at) if version == 4 else []))
        ask([(request, {}) for request in [
            ("unversioned GET", f"GET {at}/key/{PRESENT}"), ("unversioned HEAD", f"HEAD {at}/key/{PRESENT}"),
            ("unversioned GET Range", f"GET {at}/key/{PRESENT}", ["Range: bytes=2-4"]),
            ("unversioned GET absent", f"GET {at}/key/{ABSENT}"), ("unversioned HEAD absent", f"HEAD {at}/key/{ABSENT}"),
            ("key that is none", f"POST {at}/v4/checkpresent?key=notakey&clientuuid={CLIENT}"),
            ("checkpresent with a bypass", f"POST {at}/v4/checkpresent?key={PRESENT}&clientuuid={CLIENT}&bypass={GATEWAY}"),
        ]])
        for flags in (["--unauth-readonly"], ["--unauth-appendonly"]):
            with Server(repository, out, flags) as server:
                for what, key in (("checkpresent", PRESENT), ("putoffset", ABSENT), ("remove", ABSENT), ("lockcontent", ABSENT)):
                    server.ask(f"{what}, {flags[0]}", f"POST {at}/v4/{what}?key={key}&clientuuid={CLIENT}")

    return record


def proxied_endpoints(fresh, at, version):
    """The requests that always get an answer, but in version 1; and those that may not."""
    sure, (key, content) = [], fresh()
    ask = lambda *request: sure.append((request, {}))
    c, name, octets = f"clientuuid={CLIENT}", f"v{version} ", ["Content-Type: application/octet-stream"]
    both, absent = f"key={key}&{c}", f"key={ABSENT}&{c}"
    ask(name + "checkpresent present", f"POST {at}/checkpresent?key={PRESENT}&{c}")
    ask(name + "checkpresent absent", f"POST {at}/checkpresent?{absent}")
    ask(name + "putoffset", f"POST {at}/putoffset?{both}")
    ask(name + "put", f"POST {at}/put?{both}", [*octets, length(27)], content)
    get = f"GET {at}/key/{key}?{c}"
    ask(name + "GET", f"{get}&associatedfile=foo")
    for offset in (5, 27, 999):
        ask(name + f"GET offset={offset}", f"{get}&offset={offset}")
    ask(name + "HEAD", f"HEAD {at}/key/{key}?{c}")
    ask(name + "lockcontent absent", f"POST {at}/lockcontent?{absent}")
    ask(name + "lockcontent", f"POST {at}/lockcontent?{both}")
    ask(name + "remove, locked where that can be", f"POST {at}/remove?{both}")
    ask(name + "keeplocked unlock", f"POST {at}/keeplocked?lockid=$LOCKID&{c}", ["Content-Type: application/json"], b'{"unlock": true}')
    ask(name + "remove", f"POST {at}/remove?{both}")
    ask(name + "remove again", f"POST {at}/remove?{both}")
    ask(name + "checkpresent after remove", f"POST {at}/checkpresent?{both}")
    wrong, content = fresh()
    return sure, [(request, {}) for request in [
        (name + "putoffset after put", f"POST {at}/putoffset?key={PRESENT}&{c}"),
        (name + "put again", f"POST {at}/put?key={PRESENT}&{c}", [*octets, length(11)], HELLO),
        (name + "put other content", f"POST {at}/put?key={wrong}&{c}", [*octets, length(27)], content[:-1] + b"X"),
        (name + "checkpresent after put of other content", f"POST {at}/checkpresent?key={wrong}&{c}"),
        (name + "GET absent", f"GET {at}/key/{ABSENT}?{c}"), (name + "HEAD absent", f"HEAD {at}/key/{ABSENT}?{c}"),
        (name + "gettimestamp", f"POST {at}/gettimestamp?{c}"),
        (name + "remove-before in the past", f"POST {at}/remove-before?key={PRESENT}&{c}&timestamp=1"),
        (name + "remove-before in the future", f"POST {at}/remove-before?{absent}&timestamp=99999999"),
    ]]


def proxied_puts(fresh, at):
    """Puts that end badly, each with what is asked after it."""
    requests = []

    def put(name, key, count, body, more="", headers=(), **how):
        request = f"POST {at}/v4/put?key={key}&clientuuid={CLIENT}{more}"
        requests.append(((name, request, [length(count), *headers], body), how))

    def after(what, key):
        requests.append(((f"putoffset after {what}", f"POST {at}/v4/putoffset?key={key}&clientuuid={CLIENT}"), {}))

    for name, count, change in [
        ("put body too short", 27, lambda c: c[:10]), ("put body too long", 27, lambda c: c + b"EXTRA"),
        ("put longer than the key", 32, lambda c: c + b"EXTRA"), ("put shorter than the key", 10, lambda c: c[:10]),
    ]:
        key, content = fresh()
        put(name, key, count, change(content))
        after(name, key)
    key, content = fresh()
    put("put chunked", key, 27, None, "", ["Transfer-Encoding: chunked"], chunks=[content[:5], content[5:]])
    key, content = fresh()
    put("put at an offset too large", key, 22, content[5:], "&offset=5")
    put("put data-present=true of what is there", PRESENT, 0, None, "&data-present=true")
    put("put data-present=true", ABSENT, 0, b"", "&data-present=true")
    key, content = fresh()
    put("put gone midway", key, 27, content[:9], "", ["Content-Length: 27"], cut=True)
    after("put gone midway", key)
    return requests


RECORDINGS = {"31-proxied-special": record_proxied("d1"), "32-proxied-git": record_proxied("n1")}

if __name__ == "__main__":
    main(RECORDINGS, lambda name, repository, out: RECORDINGS[name](repository, out))
