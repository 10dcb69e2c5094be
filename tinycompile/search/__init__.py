"""Networks for a chip: spaces of architectures, priced by the compiler, trained, and searched for the best that fit."""

from tinycompile.search.network import Network
from tinycompile.search.space import NoNetwork, Space, load_space

__all__ = ["Network", "NoNetwork", "Space", "load_space"]
