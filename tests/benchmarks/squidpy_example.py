"""Run the example of docs/howto/scanpy.md, as it stands there, in an environment that has squidpy.

    python -m tests.benchmarks.squidpy_example --python ENV/bin/python results/<slide_id>/cells.h5ad

ENV: `python -m venv ENV && ENV/bin/pip install squidpy`. It is one of its own because squidpy asks for older
versions of dask and imagecodecs than wsipipe is tested with.
"""

import argparse
import re
import subprocess
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "scanpy.md"


def main() -> None:
    """Take the block out of the page, put the file's name into it, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--python", required=True)
    arguments = parser.parse_args()
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    code, count = re.subn(r'read_h5ad\("[^"]*"\)', f"read_h5ad({str(arguments.cells)!r})", code)
    if count != 1:
        parser.error(f"the block in {PAGE.name} reads {count} files")
    versions = (
        "from importlib.metadata import version as v; print({n: v(n) for n in ('squidpy', 'scanpy', 'anndata')})\n"
    )
    subprocess.run([arguments.python, "-W", "ignore", "-c", versions + code], check=True)


if __name__ == "__main__":
    main()
