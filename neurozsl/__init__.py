"""Audio-visual zero-shot learning with a spiking motion branch, deployed bit for bit.

Everything that most users need, by one import and without torch until it is used::

    import neurozsl as nz

    run = nz.load("runs/demo")                      # nz.train(data, out) makes one
    bundle = nz.export(run, target="lava")          # written, verified bit for bit, scored
    print(nz.evaluate(run, bundle).HM)              # of the deployed model, in percent
    print(nz.profile(run, bundle).energy[0])        # spikes and joules beside the accuracy

    network = nz.open_nir("own.nir")                # any small spiking network, as it was meant
    program = nz.quantize(network.lowered, "loihi2")  # integers, with what they lost
    trace = nz.emulate(program, chip_input)         # spikes, bit for bit those of the chip

Names and where they live: `__init__.pyi`. The rooms behind: `neurozsl.data`, `neurozsl.models`,
`neurozsl.export`, `neurozsl.hardware` and their neighbours.
"""

import lazy_loader

from neurozsl.core.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
