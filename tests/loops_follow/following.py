"""A follower under test: stepped by hand, with clocks that only the test moves."""

from dataclasses import dataclass, replace

from app.chain.nodes import Nodes
from app.core.consent.mirror import Standing
from app.core.consent.policy import AccessRequest, Permit, decide_standing
from app.core.consent.terms import Action, Purpose
from app.core.identifiers import Address, StudyKey, UnixTime
from app.loops.follow import Follower, Rules
from tests.support.chain import Chain, signer
from tests.support.consents import ChainPatient

ANY_STUDY = StudyKey(b"\x55" * 32)


@dataclass(slots=True)
class Clocks:
    """Seconds; ``wall_s`` begins at the head's own time."""

    monotonic_s: float
    wall_s: float

    def pass_by(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.wall_s += seconds


@dataclass(slots=True)
class Following:
    follower: Follower
    clocks: Clocks
    published: list[Standing]

    async def step(self) -> Standing | None:
        """One step that must succeed, and what stands then."""
        await self.follower.step()
        return self.follower.standing()

    async def failing_step(self) -> Exception:
        """One step as ``run`` takes it, which must fail; what went wrong."""
        try:
            await self.follower.step()
        except Exception as error:  # noqa: BLE001 - as in run()
            self.follower._note(error)
            return error
        raise AssertionError("the step did not fail")

    def permits(self, patient: ChainPatient, physician: str = "physician1", purpose: Purpose = Purpose.TREAT) -> bool:
        """May the physician retrieve now? An unknown standing permits nothing."""
        standing = self.follower.standing()
        if standing is None:
            return False
        request = AccessRequest(actor_of(physician), patient.key, ANY_STUDY, Action.RETRIEVE, purpose)
        now = UnixTime(max(int(self.clocks.wall_s), standing.timestamp))
        return isinstance(decide_standing(standing, request, now, frozenset()), Permit)


def actor_of(account: str) -> Address:
    return signer(account).address


async def following(chain: Chain, rules: Rules, nodes: Nodes | None = None) -> Following:
    """A follower of the test's chain that has not looked yet."""
    clocks = Clocks(1000.0, float(await chain.time()))
    published: list[Standing] = []
    follower = Follower(
        nodes or chain.nodes,
        chain.deployment,
        rules,
        publish=published.append,
        progress=lambda _done, _total: None,
        monotonic=lambda: clocks.monotonic_s,
        wall=lambda: clocks.wall_s,
    )
    return Following(follower, clocks, published)


def rules(confirmations: int | None = 0, **changed: float) -> Rules:
    return replace(Rules(confirmations), **changed)  # type: ignore[arg-type]
