"""The table of limits in the documentation is what the door does."""

from pathlib import Path

from swit_saga_server.rpc.serving import SERVICES, is_refused
from swit_saga_server.wire.door.limits_table import table

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_table_of_limits_is_made_of_the_rules():
    said = PAGE.read_text().split("<!-- limits: ")[1].split("-->\n", 1)[1].split("<!-- limits end -->")[0]
    made = table(m.input_type for s in SERVICES for m in s.methods if not is_refused(m))
    assert said == made, f"put this into docs/configuration.md:\n{made}"
