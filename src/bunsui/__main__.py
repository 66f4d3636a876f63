"""``python -m bunsui``, and the command ``bunsui``."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; says what to install where its extra is missing."""
    try:
        from bunsui.cli.main import run  # noqa: PLC0415 - its dependencies are an extra

        code = run()
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich", "tomlkit"):
            raise
        sys.exit(f"bunsui: the command line needs '{error.name}': pip install 'bunsui[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)  # Ctrl-C while it was starting: nothing has begun.
    sys.exit(code)


if __name__ == "__main__":
    main()
