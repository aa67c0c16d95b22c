"""Runs `lint_pkix_cert lint` on each file named, in one process. One line each: the findings from ERROR up, as JSON."""

import contextlib
import io
import sys

from pkilint.bin.lint_pkix_cert import main

for path in sys.argv[1:]:
    found = io.StringIO()
    with contextlib.redirect_stdout(found):
        main(["lint", "--severity", "ERROR", "--format", "JSON", path])
    print(found.getvalue().replace("\n", " "))
