"""Networks compiled by torch.compile: anew for each run, and told where it gives them up."""

import logging

from torch import nn

from trainers.heartbeat import heartbeat

logger = logging.getLogger(__name__)


class Compilation:
    """What torch.compile makes of a run's networks.

    It keeps 8 variants of a piece of code, one for each shape and mode that it meets, and runs what would be a ninth
    uncompiled. All networks that a process ever compiled share these pieces, so a run has to start without the variants
    of those before it.
    """

    def __init__(self, *networks: nn.Module) -> None:
        import torch._dynamo
        from torch._dynamo.callback import on_compile_end, on_compile_start

        torch._dynamo.reset()  # forgets whom to call, too
        torch._dynamo.utils.counters.clear()
        on_compile_start(heartbeat)
        on_compile_end(heartbeat)
        self._told = (0, 0)
        for network in networks:
            network.compile()

    @property
    def counts(self) -> tuple[int, int]:
        """Variants made so far, and pieces of code that run uncompiled."""
        from torch._dynamo.utils import counters

        frames = counters["frames"]
        return frames["ok"], frames["total"] - frames["ok"]

    def tell(self) -> None:
        """Log what changed since it was told last."""
        (made, uncompiled), before = self.counts, self._told
        self._told = made, uncompiled
        if made > before[0]:
            logger.info("torch.compile made %d variants of the networks so far, one for each shape and mode", made)
        if uncompiled > before[1]:
            logger.warning(
                "torch.compile gave up on %d pieces of the networks, which run uncompiled from here on: they meet more "
                "shapes and modes than it keeps variants of; compile = False may be as fast",
                uncompiled,
            )
