#!/usr/bin/env python3
"""Records what `git annex sim` does: PATH=.../git-annex:$PATH testdata/sim/record.py [DIRECTORY]

Of each NAME.sim beside this file, NAME.run is what `git annex sim run` prints, with its exit status, and NAME.show what
`git annex sim start` and `git annex sim show` print. hang*.sim are not run: they never end.
Of each line of lines.txt, run after the same first lines, lines.out is what that prints and which line the log gets.
Of each chain in connect.txt, connect.out has which repository then has which as a remote.
A DIRECTORY takes the results, to compare them; otherwise they are written beside this file.
"""
import os, pathlib, subprocess, sys, tempfile

here = pathlib.Path(__file__).resolve().parent
into = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here
into.mkdir(parents=True, exist_ok=True)
top = pathlib.Path(tempfile.mkdtemp(prefix="record-sim-"))
home = top / "home"
home.mkdir()
(home / ".gitconfig").write_text("[user]\n name = n\n email = n@localhost\n")
env = dict(os.environ, HOME=str(home), LANG="C.UTF-8")
repo = top / "repo"


def run(*words, check=False):
    done = subprocess.run(words, cwd=repo, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=check)
    return done.stdout.decode(errors="surrogateescape"), done.returncode


repo.mkdir()
run("git", "init", "--quiet", check=True)
run("git", "annex", "init", "trial", check=True)


def sim(*words):
    return run("git", "annex", "sim", *words)


def started(text):
    file = top / "a.sim"
    file.write_text(text)
    said, status = sim("start", str(file))
    shown, _ = sim("show")
    sim("end")
    subprocess.run(["rm", "-rf", str(repo / ".git/annex/sim")], check=True)
    return said, status, shown


def write(name, text):
    (into / name).write_text(text, errors="surrogateescape")


for script in sorted(here.glob("*.sim")):
    if script.name.startswith("hang"):
        continue
    said, status = sim("run", str(script))
    write(script.stem + ".run", f"{said}exit {status}\n")
    subprocess.run(["rm", "-rf", str(repo / ".git/annex/sim")], check=True)
    said, status, shown = started(script.read_text())
    write(script.stem + ".show", said + shown)

FIRST = "seed 1\ninit a\ninit b\ninit c\ninitremote s\nconnect a <-> b\nconnect a -> s\nadd f 1mb a\n"
out = []
for line in (here / "lines.txt").read_text().splitlines():
    said, status, shown = started(FIRST + line + "\n")
    logged = shown.split("add f 1.0MB a\n", 1)
    out.append(f"== {line}\n")
    out += [f"> {text}\n" for text in said.splitlines() if text and text != "  Sim started."]
    if len(logged) > 1:
        out += [f"log {text}\n" for text in logged[1].splitlines()]
    out.append(f"exit {status}\n")
write("lines.out", "".join(out))

out = []
for chain in (here / "connect.txt").read_text().splitlines():
    pairs = []
    for a in "abc":
        for b in "abc":
            if a != b:
                said, status, _ = started(f"seed 1\ninit a\ninit b\ninit c\n" + chain.replace(";", "\n") + f"\naction {a} gitpull {b}\n")
                if status == 0:
                    pairs.append(f"{a}>{b}")
    out.append(f"{chain} => {' '.join(pairs)}\n")
write("connect.out", "".join(out))
subprocess.run(["chmod", "-R", "u+w", str(top)], check=True)
subprocess.run(["rm", "-rf", str(top)], check=True)
