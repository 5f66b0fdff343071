#!/usr/bin/env python3
"""Lists the settings that the manual of git-annex describes, for src/annex/repository/settings.rs to sort.

    man git-annex | col -b | settings.py >settings.txt
"""

import re
import sys

SETTING = re.compile(r"(annex\.[\w.<>-]+[\w>]|remote\.<name>\.annex[\w-]+)$")
found = set()
for line in sys.stdin:
    # A line of its own, as a heading: "annex.uuid", or "remote.<name>.annex-verify, annex.verify".
    parts = [part.strip() for part in line.strip(" *\u2022\u00b7\n").split(", ")]
    if all(SETTING.match(part) for part in parts):
        found.update(parts)
print("\n".join(sorted(found)))
