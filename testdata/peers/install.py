#!/usr/bin/env python3
"""Install the pinned peers (git-annex, SeaweedFS, rclone, DataLad) below DIR.

    install.py DIR

DIR/venv holds the Python environment they come in, DIR/bin links to the
programs themselves and to nothing else, so that putting DIR/bin in PATH does
not also swap the caller's python. DIR/stamp is written last: it names the
exact pins, and while it matches, this script does nothing.
"""

import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PINS = os.path.join(HERE, "requirements.txt")
ANNEX_NAMES = ["git-annex", "git-annex-shell", "git-remote-annex"]


def fail(text):
    sys.exit("make peers: " + text)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    root = os.path.abspath(sys.argv[1])
    stamp = os.path.join(root, "stamp")
    with open(PINS) as pins:
        wanted = pins.read()
    try:
        with open(stamp) as have:
            if have.read() == wanted:
                # make compares times, so an equal stamp has to look newer than the pins.
                os.utime(stamp)
                return
    except FileNotFoundError:
        pass
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        fail(
            "this python3 cannot make virtual environments. On Debian and Ubuntu:\n"
            "    sudo apt install python3-venv"
        )
    shutil.rmtree(root, ignore_errors=True)
    venv_dir = os.path.join(root, "venv")
    python = os.path.join(venv_dir, "bin", "python3")
    print("make peers: installing git-annex, SeaweedFS, rclone and DataLad into " + os.path.relpath(root), flush=True)
    subprocess.run([sys.executable, "-m", "venv", venv_dir], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary=:all:"]
    if subprocess.run(pip + ["-r", PINS]).returncode != 0:
        fail("pip could not install the pins of testdata/peers/requirements.txt (network? other machine type?)")
    link_programs(root, venv_dir)
    for program, word in [("git-annex", "version"), ("weed", "version"), ("rclone", "version"), ("datalad", "--version")]:
        done = subprocess.run([os.path.join(root, "bin", program), word], capture_output=True)
        if done.returncode != 0:
            fail("%s was installed but does not run here" % program)
    with open(stamp, "w") as out:
        out.write(wanted)


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


if __name__ == "__main__":
    main()
