"""Command line: parse, call the pipeline, turn errors into exit codes."""

import sys

if sys.platform == "win32":  # said before anything that it lacks is loaded
    sys.stderr.write("error: wsipipe does not run on Windows itself: use it in WSL 2 or in Docker\n")
    sys.exit(2)
