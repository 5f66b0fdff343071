#!/usr/bin/env python3
"""licences.py > FILE: the licence texts of all that is built into the program, read from the packages as cargo unpacked them.

Counted is what the program links by its normal dependencies, with the default features, for the machine that this runs on. Most
packages have their own text. Equal texts are printed once. A package without a text is named with what it declares, and the standard
text is printed for it. An error where a package declares nothing, or something without a text here.
"""

import collections
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = "git-annex-remote-stream"
# Files by which packages carry licences; not their directories of tests and documentation.
TEXT = re.compile(r"(?i)^(licen[cs]es?|copying|copyright|notice|unlicense)([-._].*)?$")
CODE = re.compile(r"(?i)\.(rs|py|sh|toml|json|html?|tmpl|hbs)$")
# Texts without a name of an author, of which one stands for all.
STANDARD = {"Apache-2.0": "LICENSE-APACHE", "MIT": "LICENSE-MIT"}
# C and assembly inside of packages, with licences of their own.
INSIDE = {
    "libsqlite3-sys": "SQLite, which it holds, is in the public domain: https://www.sqlite.org/copyright.html",
    "aws-lc-sys": "AWS-LC, which it holds, has the licences in its LICENSE, among the texts below.",
}


def cargo(*words):
    return subprocess.run(["cargo", *words], cwd=TOP, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked():
    """(name, version) of what is linked, this program's own crates left out."""
    tree = cargo("tree", "--locked", "--offline", "--package", NAME, "--edges", "normal", "--prefix", "none", "--format", "{p}")
    found = set()
    for line in tree.splitlines():
        words = line.replace(" (*)", "").split()
        if len(words) > 2 and words[2].startswith("(/"):
            continue
        if words:
            found.add((words[0], words[1].removeprefix("v")))
    return found


def texts(package):
    """The texts that the package carries, by path inside it."""
    root = os.path.dirname(package["manifest_path"])
    names = [name for name in os.listdir(root) if TEXT.match(name) and not CODE.search(name)]
    paths = [os.path.join(root, name) for name in names]
    for path in [path for path in paths if os.path.isdir(path)]:
        paths += [os.path.join(path, name) for name in os.listdir(path)]
    if package["license_file"]:
        paths.append(os.path.join(root, package["license_file"]))
    if package["name"] == "aws-lc-sys":
        paths.append(os.path.join(root, "aws-lc", "LICENSE"))
    read = {}
    for path in sorted(set(map(os.path.normpath, paths))):
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as text:
                read[os.path.relpath(path, root)] = "\n".join(line.rstrip() for line in text.read().strip().splitlines())
    return read


def main():
    wanted = linked()
    known = json.loads(cargo("metadata", "--locked", "--format-version", "1"))["packages"]
    packages = sorted((p for p in known if (p["name"], p["version"]) in wanted), key=lambda p: (p["name"], p["version"]))
    lost = wanted - {(p["name"], p["version"]) for p in packages}
    if lost or len(packages) < 100:
        sys.exit("licences.py: %d packages, and cargo metadata does not know %s" % (len(packages), sorted(lost)))
    bodies, without = collections.OrderedDict(), [("Rust's standard library", {"authors": ["The Rust Project Contributors"]}, "MIT")]
    print("What is built into %s beside its own code, and under which licences. The texts are below." % NAME)
    print("\n%s: MIT OR Apache-2.0" % without[0][0])
    for package in packages:
        title = "%s %s" % (package["name"], package["version"])
        declared = package["license"] or (package["license_file"] and "the text of its own below")
        if not declared:
            sys.exit("licences.py: %s declares no licence" % title)
        print("%s: %s" % (title, declared))
        if package["name"] in INSIDE:
            print("    " + INSIDE[package["name"]])
        found = texts(package)
        for path, body in found.items():
            bodies.setdefault(body, []).append("%s, %s" % (title, path))
        if not found:
            # `MIT/Apache-2.0` is how OR was once written.
            choices = re.split(r" OR |/", declared.strip("()"))
            standard = [choice for choice in choices if choice in STANDARD]
            if not standard:
                sys.exit("licences.py: %s has no text, and there is none here for %s" % (title, declared))
            without.append((title, package, standard[0]))
    for body, of in bodies.items():
        print("\n%s\n%s\n\n%s" % ("=" * 100, "\n".join(of), body))
    for identifier, file in STANDARD.items():
        of = [(title, package) for title, package, standard in without if standard == identifier]
        if not of:
            continue
        with open(os.path.join(TOP, file), encoding="utf-8") as text:
            body = text.read().strip()
        if identifier == "MIT":
            # Ours names our authors.
            body = re.sub(r"(?m)^Copyright .*$", "Copyright (c) the authors named above", body)
        print("\n%s\nThese carry no text of their own, and are used under %s:\n" % ("=" * 100, identifier))
        for title, package in of:
            print("%s: %s" % (title, ", ".join(package["authors"]) or package["repository"] or "authors not named"))
        print("\n" + body)
    print("licences.py: %d packages, %d texts, %d packages without one" % (len(packages), len(bodies), len(without)), file=sys.stderr)


if __name__ == "__main__":
    main()
