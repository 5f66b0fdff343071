#!/usr/bin/env python3
"""Start real servers on loopback, say where they are, stop them whatever happens.

    serve.py NAME...               print the settings, a line READY, and stay until stdin ends
    serve.py NAME... -- COMMAND    run COMMAND with the settings in its environment

NAME is weed (SeaweedFS S3), rclone-s3, rclone-webdav, sftp (OpenSSH), azurite,
moto (S3), swift, or all of these; or rclone-folding, WebDAV where case and
Unicode forms make no difference in names. The settings are one line each, and
say the same in the environment:

    STREAM_TEST_WEED=PORT ACCESS-KEY SECRET
    STREAM_TEST_RCLONE_S3=PORT ACCESS-KEY SECRET
    STREAM_TEST_RCLONE_WEBDAV=PORT USER PASSWORD
    STREAM_TEST_RCLONE_FOLDING=PORT USER PASSWORD
    STREAM_TEST_SFTP=PORT USER KEY-FILE
    STREAM_TEST_AZURITE=PORT ACCOUNT KEY
    STREAM_TEST_MOTO=PORT ACCESS-KEY SECRET
    STREAM_TEST_SWIFT=PORT ACCOUNT TOKEN

Every server but moto demands credentials; the secrets are fresh for each start.
SeaweedFS also knows the access key "narrow" (same secret), which may read and
write objects but neither list nor create buckets. Beside KEY-FILE is bin/ssh,
which takes no settings but its own and knows the server's key. On azurite and
swift there is a container "annex".

What could not be installed here is "lacking WHY" in place of the rest. That is
said loudly, before and after COMMAND, and where CI is set it is an error.

Waiting for the end of stdin, not for a signal, is what makes stopping certain:
the pipe closes even if whoever started this is killed outright. The servers in
turn get a kill from the kernel should this script die first. Their data is
scratch, so they are killed and not asked.
"""

import base64
import contextlib
import ctypes
import getpass
import glob
import http.client
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.environ.get("STREAM_TEST_PEERS") or os.path.join(HERE, "..", "..", "target", "peers", "bin")
NAMES = ["weed", "rclone-s3", "rclone-webdav", "sftp", "azurite", "moto", "swift"]
MORE = ["rclone-folding"]  # few tests want it: they start it themselves
READY_TIMEOUT = 60  # seconds; a start takes about one, but machines under load are slow
BLOCK = 10  # ports reserved for one SeaweedFS


class StartFailed(Exception):
    pass


class Lacking(Exception):
    """It is not installed, and need not be everywhere."""


def peer(name):
    path = os.path.join(BIN, name)
    if not os.access(path, os.X_OK):
        raise StartFailed("%s is not installed in %s: run `make peers`" % (name, os.path.relpath(BIN)))
    return path


def clean_environment(home):
    """Only what a server needs: no proxy settings, no credentials, no rclone or SeaweedFS options of the user."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "TMPDIR", "LANG", "TZ")}
    kept["HOME"] = home
    return kept


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def spawn(command, home, log, **environment):
    with open(log, "wb") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=home,
            env={**clean_environment(home), **environment},
            start_new_session=True,  # Ctrl-C is for us: we stop the servers after the command that uses them
            preexec_fn=die_with_parent,
        )


def wait_until(process, log, answered):
    """Poll `answered` until it gives a value; an exit of the server or the time limit is an error with its log."""
    end = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < end:
        got = answered()
        if got:
            return got
        if process.poll() is not None:
            raise StartFailed("%s exited with %s:\n%s" % (process.args[0], process.returncode, tail(log)))
        time.sleep(0.01)
    raise StartFailed("%s does not answer after %d s:\n%s" % (process.args[0], READY_TIMEOUT, tail(log)))


def tail(log):
    with open(log, errors="replace") as text:
        return "".join(text.readlines()[-20:])


def http_status(port):
    """The status of `GET /`, or None while nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            line = s.recv(64).split()
            return int(line[1]) if len(line) > 1 else None
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def port_block():
    """Reserve BLOCK ports below the kernel's ephemeral range: no outgoing connection lands on them, and a name taken in
    the abstract socket space keeps every other run of this script off them for as long as we live."""
    firsts = list(range(15000, 30000, BLOCK))
    random.shuffle(firsts)
    for first in firsts:
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind("\0git-annex-remote-stream-ports-%d" % first)
            except OSError:
                continue
            if all(free(port) for port in range(first, first + BLOCK)):
                yield first
                return
    raise StartFailed("no %d free ports in a row between 15000 and 30000" % BLOCK)


def free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def start_weed(stack, home):
    # Someone who does not know our locks can still take a port between the look and the bind: try elsewhere then.
    for attempt in range(5):
        with contextlib.ExitStack() as trial:
            try:
                setting = try_weed(trial, os.path.join(home, "weed%d" % attempt))
            except StartFailed as e:
                failure = e
                continue
            stack.push(trial.pop_all())
            return setting
    raise failure


def try_weed(stack, home):
    os.makedirs(os.path.join(home, "data"))
    base = stack.enter_context(port_block())
    secret = secrets.token_hex(20)
    both = [("stream", ["Admin", "Read", "Write", "List", "Tagging"]), ("narrow", ["Read", "Write"])]
    config = {
        "identities": [
            {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions}
            for name, actions in both
        ]
    }
    with open(os.path.join(home, "s3.json"), "w") as out:
        json.dump(config, out)
    # `mini` is `server -filer -s3` without its fixed pauses: ready in 0.7 s where the other takes 3.1 s.
    command = [peer("weed"), "-logtostderr=true", "mini"]
    command += ["-dir=" + os.path.join(home, "data"), "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    roles = ["master", "volume", "filer", "s3", "admin"]
    for i, role in enumerate(roles):
        # The gRPC port is http + 10000 unless named, which is how two servers collide by surprise.
        command += ["-%s.port=%d" % (role, base + 2 * i), "-%s.port.grpc=%d" % (role, base + 2 * i + 1)]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
    command += ["-s3.config=" + os.path.join(home, "s3.json"), "-master.telemetry=false"]
    # Each bucket takes a few volumes of its own; small ones keep many buckets within the count the disk allows.
    command += ["-master.volumeSizeLimitMB=64", "-volume.preStopSeconds=0"]
    log = os.path.join(home, "log")
    # Two minutes after `a/b` was deleted it also deletes an object `a` that was deleted and stored again since (4.48):
    # see docs/stores.md. Who tests on a slow machine loses objects by that.
    process = spawn(command, home, log, WEED_FILER_OPTIONS_S3_EMPTY_FOLDER_CLEANUP_DELAY="24h")
    stack.callback(remove_sockets, base)
    stack.callback(kill, process)
    port = base + 2 * roles.index("s3")
    status = wait_until(process, log, lambda: http_status(port))
    if status != 403:
        raise StartFailed("SeaweedFS answers %d to a request without credentials: authentication is off" % status)
    return "STREAM_TEST_WEED", "%d stream %s" % (port, secret)


def remove_sockets(base):
    """SeaweedFS listens on sockets in /tmp, wherever TMPDIR points, and leaves them there when killed."""
    for port in range(base, base + BLOCK):
        for path in glob.glob("/tmp/seaweedfs-*-%d.sock" % port):
            with contextlib.suppress(OSError):
                os.remove(path)


def start_rclone(stack, home, kind):
    home = os.path.join(home, "rclone-" + kind)
    os.makedirs(os.path.join(home, "data"))
    secret = secrets.token_hex(20)
    log = os.path.join(home, "log")
    # Port 0 lets rclone choose by binding. Next to no directory cache: tests look at and damage the data behind its back.
    # None at all (0s) makes rclone spin: requests then take seconds.
    folding = ["--vfs-case-insensitive"] if kind == "folding" else []
    served = "webdav" if folding else kind
    command = [peer("rclone"), "serve", served, *folding, "--addr", "127.0.0.1:0", "--config", os.path.join(home, "none.conf")]
    command += ["--dir-cache-time", "10ms", "--poll-interval", "0", os.path.join(home, "data")]
    if kind == "s3":
        login = {"RCLONE_AUTH_KEY": '"stream,%s"' % secret}
    else:
        login = {"RCLONE_USER": "stream", "RCLONE_PASS": secret}
    process = spawn(command, home, log, **login)
    stack.callback(kill, process)

    def address():
        with open(log, errors="replace") as text:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", text.read())
        return int(found.group(1)) if found else None

    port = wait_until(process, log, address)
    status = wait_until(process, log, lambda: http_status(port))
    # rclone's S3 says 400 where others say 403.
    if status not in (400, 401, 403):
        raise StartFailed("rclone serve %s answers %d without credentials: authentication is off" % (kind, status))
    return "STREAM_TEST_RCLONE_" + kind.upper(), "%d stream %s" % (port, secret)


def start_sftp(stack, home):
    import install

    sshd = install.find("sshd")
    # The system's own first: a test may have put one in PATH that leads to what is started here.
    ssh = shutil.which("ssh", path="/usr/bin:/usr/local/bin:" + os.environ.get("PATH", ""))
    if sshd is None or ssh is None:
        raise Lacking("OpenSSH's sshd is not installed (Debian: sudo apt install openssh-server)")
    home = os.path.join(home, "sftp")
    os.makedirs(os.path.join(home, "bin"), mode=0o700)
    at = lambda name: os.path.join(home, name)  # noqa: E731
    for name in ["host", "key"]:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", at(name)], check=True)
    if os.getuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # as root it insists, though nothing is ever in there
    with open(at("host.pub")) as public, open(at("known_hosts"), "w") as out:
        out.write("stream-test " + public.read())
    with open(at("ssh_config"), "w") as out:
        # One name for the server, whatever port or relay leads to it.
        out.write("Host *\n  HostKeyAlias stream-test\n  IdentitiesOnly yes\n  IdentityAgent none\n")
        out.write("  GlobalKnownHostsFile /dev/null\n  UserKnownHostsFile %s\n" % at("known_hosts"))
    with open(at("bin/ssh"), "w") as out:
        out.write('#!/bin/sh\nexec %s -F %s "$@"\n' % (ssh, at("ssh_config")))
    os.chmod(at("bin/ssh"), 0o755)
    with port_block() as port:
        with open(at("sshd_config"), "w") as out:
            for line in [
                "ListenAddress 127.0.0.1:%d" % port,
                "HostKey " + at("host"),
                "AuthorizedKeysFile " + at("key.pub"),
                "PidFile none",
                "StrictModes no",  # the temporary directory is everybody's
                "UsePAM no",
                "AuthenticationMethods publickey",
                "PermitRootLogin prohibit-password",
                "ForceCommand internal-sftp",
                "Subsystem sftp internal-sftp",
                "AllowTcpForwarding no",
                "AllowAgentForwarding no",
                "X11Forwarding no",
                "PermitTTY no",
                "MaxStartups 1000",
                "MaxSessions 1000",
                "UseDNS no",
            ]:
                out.write(line + "\n")
        process = spawn([sshd, "-D", "-e", "-f", at("sshd_config")], home, at("log"))
        stack.callback(kill_all, process)
        wait_until(process, at("log"), lambda: banner(port))
    return "STREAM_TEST_SFTP", "%d %s %s" % (port, getpass.getuser(), at("key"))


def banner(port):
    """Whether something that speaks SSH is there."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            return s.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False


def start_azurite(stack, home):
    script = os.path.join(BIN, "..", "azurite", "node_modules", "azurite", "dist", "src", "blob", "main.js")
    if shutil.which("node") is None or not os.path.exists(script):
        raise Lacking("Azurite is not installed: it takes node and npm (Debian: sudo apt install npm), then `make services`")
    home = os.path.join(home, "azurite")
    os.makedirs(home)
    log = os.path.join(home, "log")
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    with port_block() as port:
        command = ["node", script, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", home]
        command += ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        process = spawn(command, home, log, AZURITE_ACCOUNTS="stream:" + secret)
        stack.callback(kill, process)
        status = wait_until(process, log, lambda: http_status(port))
    if status not in (400, 401, 403):
        raise StartFailed("Azurite answers %d to a request without credentials: authentication is off" % status)
    container = {
        "RCLONE_CONFIG": "",
        "RCLONE_AZUREBLOB_ACCOUNT": "stream",
        "RCLONE_AZUREBLOB_KEY": secret,
        "RCLONE_AZUREBLOB_ENDPOINT": "http://127.0.0.1:%d/stream" % port,
    }
    done = subprocess.run(
        [peer("rclone"), "mkdir", ":azureblob:annex"], env={**clean_environment(home), **container}, capture_output=True
    )
    if done.returncode != 0:
        raise StartFailed("Azurite makes no container: %s" % done.stderr.decode(errors="replace"))
    return "STREAM_TEST_AZURITE", "%d stream %s" % (port, secret)


def python_of(name):
    python = os.path.join(BIN, "..", "services", "bin", "python3")
    if not os.access(python, os.X_OK):
        raise Lacking("%s is not installed: run `make services`, which says why not" % name)
    return python


def start_moto(stack, home):
    python = python_of("moto")
    home = os.path.join(home, "moto")
    os.makedirs(home)
    log = os.path.join(home, "log")
    with port_block() as port:
        command = [python, os.path.join(os.path.dirname(python), "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        process = spawn(command, home, log)
        stack.callback(kill, process)
        wait_until(process, log, lambda: http_status(port))
    return "STREAM_TEST_MOTO", "%d stream %s" % (port, secrets.token_hex(20))


def start_swift(stack, home):
    python = python_of("Swift")
    home = os.path.join(home, "swift")
    os.makedirs(home)
    log = os.path.join(home, "log")
    token = secrets.token_hex(20)
    process = spawn([python, "-W", "ignore", os.path.join(HERE, "openstack.py"), home, token], home, log)
    stack.callback(kill, process)

    def address():
        with open(log, errors="replace") as text:
            found = re.search(r"^port (\d+)$", text.read(), re.MULTILINE)
        return int(found.group(1)) if found else None

    port = wait_until(process, log, address)
    if wait_until(process, log, lambda: http_status(port)) != 401:
        raise StartFailed("Swift does not refuse a request without a token")
    put = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_TIMEOUT)
    put.request("PUT", "/v1/AUTH_stream/annex", headers={"X-Auth-Token": token})
    if put.getresponse().status not in (201, 202):
        raise StartFailed("Swift makes no container:\n" + tail(log))
    return "STREAM_TEST_SWIFT", "%d AUTH_stream %s" % (port, token)


def kill_all(process):
    """With those it started for its connections, which sshd puts into sessions of their own."""
    children = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError), open(stat, errors="replace") as text:
            parent = int(text.read().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.split("/")[2]))
    todo, below = [process.pid], []
    while todo:
        found = children.get(todo.pop(), [])
        todo += found
        below += found
    kill(process)
    for pid in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill(process):
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()


def start(stack, name, home):
    others = {
        "weed": start_weed,
        "sftp": start_sftp,
        "azurite": start_azurite,
        "moto": start_moto,
        "swift": start_swift,
    }
    if name not in others:
        return start_rclone(stack, home, name.removeprefix("rclone-"))
    try:
        return others[name](stack, home)
    except Lacking as e:
        not_tested(name, str(e))
        if os.environ.get("CI"):
            raise StartFailed("CI is set, so everything has to be tested")
        return "STREAM_TEST_" + name.upper(), "lacking %s" % e


def not_tested(name, why):
    print("serve.py: NOT TESTED: %s: %s" % (name, why), file=sys.stderr, flush=True)


def run(command, settings):
    child = subprocess.Popen(command, env={**os.environ, **settings})
    while True:
        try:
            code = child.wait()
            return code if code >= 0 else 128 - code
        except KeyboardInterrupt:
            continue  # the command got it too: let it finish in its own way


def stop_by_signal(number, frame):
    sys.exit(128 + number)


def main():
    names, command = sys.argv[1:], None
    if "--" in names:
        names, command = names[: names.index("--")], names[names.index("--") + 1 :]
    if names == ["all"]:
        names = NAMES
    if not names or any(name not in NAMES + MORE for name in names) or command == []:
        sys.exit(__doc__.strip())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_by_signal)
    home = tempfile.mkdtemp(prefix="stream-peers-")
    try:
        with contextlib.ExitStack() as stack:
            settings = dict(start(stack, name, home) for name in names)
            if command:
                code = run(command, settings)
                for name, value in settings.items():
                    if value.startswith("lacking "):
                        not_tested(name.removeprefix("STREAM_TEST_").lower(), value.removeprefix("lacking "))
                return code
            for name, value in settings.items():
                print("%s=%s" % (name, value))
            print("READY", flush=True)
            sys.stdin.buffer.read()
            return 0
    except StartFailed as e:
        print("serve.py: %s" % e, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
