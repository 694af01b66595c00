"""``--engine dask``: one copy over several processes, on this machine or on many.

The tree is cut into ranges of keys, each of which a Dask worker carries with svstorage's ordinary
engine. Credentials never travel: workers find them in the settings file or their environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from svstorage import hookimpl

if TYPE_CHECKING:
    from svstorage.plugins import Registry
    from svstorage.transfer.engine import Concurrency
    from svstorage.transfer.stop import StopToken
    from svstorage.transfer.tree_task import Crew, TreeTask
    from svstorage.transfer.work import Carries, Outcome, Work


class DaskEngine:
    """See `svstorage.transfer.tree_task.SpreadingEngine`."""

    name = "dask"
    summary = "Dask workers, each with a range of the keys"

    def __init__(self) -> None:
        from svstorage.transfer.engine import EngineOption

        self.options = (
            EngineOption(
                "scheduler", "ADDRESS",
                "A running Dask scheduler (tcp://host:8786, tls://...). "
                "[default: processes of this machine, for the time of the copy]",
            ),
            EngineOption(
                "workers", "N", "Processes on this machine. [default: as many as processors]"
            ),
        )  # fmt: skip

    def outcomes(
        self,
        works: Iterator[Work],
        carrier: Carries,
        *,
        concurrency: Concurrency,
        stop: StopToken,
    ) -> Iterator[Sequence[Outcome]]:
        """Named objects and trees that cannot be cut: threads of this process carry them."""
        from svstorage.transfer.local_engine import LocalEngine

        return LocalEngine().outcomes(works, carrier, concurrency=concurrency, stop=stop)

    def crew(self, task: TreeTask, *, options: Mapping[str, str], stop: StopToken) -> Crew:
        """The workers of a scheduler, or processes of this machine."""
        from svstorage_dask.crew import DaskCrew

        return DaskCrew(task, options)


@hookimpl
def svstorage_register_engines(registry: Registry) -> None:
    """Adds the engine ``dask``."""
    registry.add_engine(DaskEngine())
