"""`python -m specdsl`, and what the command `specdsl` runs."""

import gc
import os


def main() -> None:
    """Run the command line.

    Three settings shorten start and end, by half of what we add to importing lark and pydantic: garbage is looked for a
    hundred times less often, since loading makes much and drops little; pydantic does not search all installed
    packages for plug-ins; and at the end, what is still alive is not searched for garbage again.
    """
    gc.set_threshold(100_000, 20, 20)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from specdsl import cli

    try:
        cli.main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
