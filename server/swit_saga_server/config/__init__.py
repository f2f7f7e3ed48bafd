"""The configuration: a file per section of the YAML, and ``loading``, which puts them together.

``docs/configuration.md`` lists every option; a test holds it against the models here.
"""

from swit_saga_server.config.loading import NOT_YET, SagaConfig
from swit_saga_server.config.logging import LogFormat
from swit_saga_server.config.participants import ParticipantConfig
from swit_saga_server.config.section import ConfigError

__all__ = ["NOT_YET", "ConfigError", "LogFormat", "ParticipantConfig", "SagaConfig"]
