"""Layers measured instead of estimated: compiled alone, executed in QEMU, and remembered by their C.

What a layer executes and how much code it has follow from the specialised C of its function, the compiler, its flags
and the core, and hardly from anything else of the model; so a search that meets the same layers in hundreds of networks
builds each of them once. `unit.py` makes a model of a layer, `firmware.py` builds and runs many of those at a time,
`known.py` remembers, and `network.py` adds up what a planned model takes. `whole.py` compiles all of a network instead.
"""

from tinycompile.measuring.known import Measures, Measuring, check_measurable
from tinycompile.measuring.network import Measurement, measured_network
from tinycompile.measuring.whole import Whole, measured_whole

__all__ = ["Measurement", "Measures", "Measuring", "Whole", "check_measurable", "measured_network", "measured_whole"]
