"""`python -m specdsl`, and what the command `specdsl` runs."""

import gc
import os
import sys
from types import ModuleType


def main() -> None:
    """Run the command line.

    Three settings shorten start and end, by half of what we add to importing lark and pydantic: garbage is looked for a
    hundred times less often, since loading makes much and drops little; pydantic does not search all installed
    packages for plug-ins; and at the end, what is still alive is not searched for garbage again.
    """
    gc.set_threshold(100_000, 20, 20)
    _without_plugins()
    try:
        from specdsl import cli

        cli.main()
    except KeyboardInterrupt:  # while modules are loaded; later the command line itself hears of it
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        gc.freeze()


def _without_plugins() -> None:
    """Have pydantic do without plug-ins, and without the packages that it would search for them with.

    The variable is how pydantic is told, and processes that this one starts are told too. It does not keep the module
    that searches from importing the reader of all packages' metadata, some thirty modules in all; so an empty one
    stands in its place. Should pydantic no longer have a module of that name, nothing but the time is lost.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if os.environ["PYDANTIC_DISABLE_PLUGINS"] == "__all__":
        loader = ModuleType("pydantic.plugin._loader")
        loader.get_plugins = tuple  # type: ignore[attr-defined]
        sys.modules.setdefault(loader.__name__, loader)


if __name__ == "__main__":
    main()
