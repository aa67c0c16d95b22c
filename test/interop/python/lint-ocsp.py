"""Runs `lint_ocsp_response lint` on each file named, in one process. One line each: the findings from WARNING up, as JSON."""

import contextlib
import io
import sys

from pkilint.bin.lint_ocsp_response import main

for path in sys.argv[1:]:
    found = io.StringIO()
    with contextlib.redirect_stdout(found):
        main(["lint", "--severity", "WARNING", "--format", "JSON", "--document-format", "DER", path])
    print(found.getvalue().replace("\n", " "))
