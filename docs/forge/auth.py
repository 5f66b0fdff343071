#!/usr/bin/env python3
"""Answers `git-annex-remote-stream p2phttp --auth-url` by asking Forgejo-aneksajo (or Forgejo, or Gitea).

    auth.py https://forge.example.org 3001     then: --auth-url http://127.0.0.1:3001/auth --realm Gitea

The forge is asked what it would be asked by git, with what the client logs in with:

    read, lock      whether it may fetch
    store           whether it may begin to push, and whether the user may push there
    remove          the same, and whether the user is an admin there

Both questions are needed. To the first the forge answers what a token is good for, and whether the repository is archived or a mirror,
but it lets readers begin a push and checks them in a hook. To the second it answers what the user may do, whatever the token is good
for. An answer that is none of those known is 502, and lets nobody in.
"""

import http.client
import http.server
import json
import re
import socketserver
import sys
import urllib.parse

LIMIT = 8  # seconds for each question; the server waits 10 for all of them
LONGEST = 1 << 20  # bytes of an answer

# Neither . nor .., which would lead to another question.
NAME = r"(?!\.{1,2}(?:/|\.git$|$))[A-Za-z0-9_.-]+"
REPOSITORY = re.compile(rf"({NAME})/(?!\.git$)({NAME}?)(\.git)?")


class Forge:
    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.kind = {"https": http.client.HTTPSConnection, "http": http.client.HTTPConnection}[parts.scheme]
        self.host, self.path = parts.netloc, parts.path.rstrip("/")

    def ask(self, path, login):
        """The status, and of JSON the value."""
        connection = self.kind(self.host, timeout=LIMIT)
        try:
            headers = {"User-Agent": "git/annex-auth", "Accept": "*/*"}
            if login:
                headers["Authorization"] = login
            connection.request("GET", self.path + path, headers=headers)
            answer = connection.getresponse()
            if answer.status != 200 or not answer.getheader("Content-Type", "").startswith("application/json"):
                return answer.status, None
            return 200, json.loads(answer.read(LONGEST))
        finally:
            connection.close()

    def judge(self, repository, action, login):
        """A status, and who it is."""
        found = REPOSITORY.fullmatch(repository)
        if not found or found[2].endswith(".wiki") or action not in ("read", "lock", "store", "remove"):
            return 403, None
        owner, name = found[1], found[2]
        changes = action in ("store", "remove")
        service = "git-receive-pack" if changes else "git-upload-pack"
        status, _ = self.ask(f"/{owner}/{name}.git/info/refs?service={service}", login)
        if status == 200 and changes:
            status, told = self.ask(f"/api/v1/repos/{owner}/{name}", login)
            if status == 200:
                may = told["permissions"]["admin" if action == "remove" else "push"]
                status = 200 if may is True and told["archived"] is False and told["mirror"] is False else 403
        if status != 200:
            # A repository that one may not see is not there, to the forge.
            return {401: 401, 403: 403, 404: 403}.get(status, 502), None
        if not login:
            return 200, None
        # The name that was sent is that of nobody where the password is a token.
        status, told = self.ask("/api/v1/user", login)
        return 200, told["login"] if status == 200 else None


class Answers(http.server.BaseHTTPRequestHandler):
    timeout = LIMIT

    def do_GET(self):
        headers = self.headers
        try:
            repository = urllib.parse.unquote(headers.get("X-Repository", ""))
            status, user = self.server.forge.judge(repository, headers.get("X-Action", ""), headers.get("Authorization"))
        except Exception as error:
            # Whatever it is, nobody is let in by it.
            print(f"cannot tell: {error!r}", file=sys.stderr, flush=True)
            status, user = 502, None
        self.send_response(status)
        if user:
            self.send_header("X-Forwarded-User", user)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    server = Server(("127.0.0.1", int(sys.argv[2])), Answers)
    server.forge = Forge(sys.argv[1])
    print(f"listening on 127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
