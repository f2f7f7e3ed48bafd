"""The SDK's bounds are the coordinator's."""

from swit_saga import limits
from swit_saga_server.core import limits as core_limits


def test_every_bound_is_the_coordinators():
    own = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert own == {name: getattr(core_limits, name, None) for name in own}
    assert "MAX_ID_LENGTH" in own
