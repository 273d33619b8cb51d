"""`"strategies.dip_buyer:DipBuyer"` to the class it names."""

import sys
from importlib import import_module

from framework.errors import ConfigError
from framework.strategy.strategy import Strategy


def load_class(path: str, *, key: str = "class") -> type[Strategy]:
    """Return the strategy class at `module:Name`; the working directory is searched too.

    Raises:
        ConfigError: there is no such module or class, or it is no Strategy.
    """
    module_name, colon, class_name = path.partition(":")
    if not colon or not module_name or not class_name:
        raise ConfigError(f"{path!r} is not of the form module:Class", key=key)
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise ConfigError(f"{module_name} needs {error.name!r}", key=key) from error
        raise ConfigError(f"there is no module {module_name!r}", key=key) from error
    except Exception as error:  # the user's own module failed while it was imported
        raise ConfigError(f"{module_name} cannot be imported: {error!r}", key=key) from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise ConfigError(f"{module_name} has no class {class_name!r}", key=key)
    if not issubclass(found, Strategy):
        raise ConfigError(f"{path} is not a subclass of framework.Strategy", key=key)
    return found
