"""JSON values as dataclasses, pydantic models and the like, by their type annotations, and back.

The rule: what was written is read back equal, or there is an error, never silently another value. pydantic is used
where a model comes along, never imported.
"""

from swit_saga.typed.kinds import type_name as type_name
