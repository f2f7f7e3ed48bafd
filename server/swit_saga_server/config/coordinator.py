"""The section ``coordinator``: defaults of sagas, limits, leases, and what is kept for how long."""

from pydantic import Field, model_validator

from swit_saga_server.config.section import MAX_COUNT, Count, Duration, Name, Number, Section
from swit_saga_server.core.definition import CoordinatorMode
from swit_saga_server.core.limits import DAY, MAX_ATTEMPTS, MAX_MULTIPLIER, MAX_PAYLOAD_BYTES
from swit_saga_server.core.retry import Backoff, Jitter, RetryPolicy
from swit_saga_server.core.units import MINUTE, SECOND
from swit_saga_server.engine.options import CachePolicy


class RetryConfig(Section):
    """A retry policy, see ``core.retry.RetryPolicy``."""

    backoff: Backoff = Backoff.EXPONENTIAL
    initial_delay: Duration = 1 * SECOND
    max_delay: Duration = 30 * SECOND
    multiplier: Number = Field(default=2.0, ge=1, le=MAX_MULTIPLIER, allow_inf_nan=False)
    max_attempts: Count = Field(default=5, ge=1, le=MAX_ATTEMPTS)
    jitter: Jitter = Jitter.FULL

    @model_validator(mode="after")
    def _check(self) -> "RetryConfig":
        if self.max_delay < self.initial_delay:
            raise ValueError("max_delay must not be less than initial_delay")
        return self

    def policy(self) -> RetryPolicy:
        """As the core has it."""
        return RetryPolicy(**self.model_dump())


class CompensationRetryConfig(RetryConfig):
    """The same with more patience, see ``core.retry.DEFAULT_COMPENSATION_RETRY``; also where only a part is given."""

    max_delay: Duration = 60 * SECOND
    max_attempts: Count = Field(default=20, ge=1, le=MAX_ATTEMPTS)


class CacheConfig(Section):
    """The working set in memory, see ``engine.options.CacheOptions``."""

    enabled: bool = True
    ttl: Duration = 10 * MINUTE
    max_size: Count = Field(default=100_000, ge=1, le=MAX_COUNT)
    policy: CachePolicy = CachePolicy.LRU


class CoordinatorConfig(Section):
    """The coordinator itself."""

    name: Name = ""
    mode: CoordinatorMode = CoordinatorMode.ORCHESTRATION
    default_timeout: Duration = 30 * MINUTE
    step_timeout: Duration = 30 * SECOND
    default_retry_policy: RetryConfig = RetryConfig()
    default_compensation_retry_policy: CompensationRetryConfig = CompensationRetryConfig()
    lease_term: Duration = 10 * SECOND
    max_payload_bytes: Count = Field(default=1 << 20, ge=1, le=MAX_PAYLOAD_BYTES)
    max_definition_bytes: Count = Field(default=1 << 20, ge=1, le=MAX_PAYLOAD_BYTES)
    cache: CacheConfig = CacheConfig()
    max_concurrent_sagas: Count = Field(default=0, ge=0, le=MAX_COUNT)
    max_concurrent_steps: Count = Field(default=10_000, ge=0, le=MAX_COUNT)
    max_queue_length: Count = Field(default=5_000, ge=0, le=MAX_COUNT)
    max_queue_wait: Duration = 2 * SECOND
    cleanup_interval: Duration = 60 * MINUTE
    retention_period: Duration | None = None
    recovery_enabled: bool = True
    recovery_interval: Duration = 5 * SECOND

    @model_validator(mode="after")
    def _check(self) -> "CoordinatorConfig":
        if self.mode is not CoordinatorMode.ORCHESTRATION:
            raise ValueError(f"mode {self.mode.value!r} is not supported yet; leave it out or write 'orchestration'")
        if not SECOND <= self.lease_term <= DAY:
            raise ValueError("lease_term must be at least 1s and at most 1d")
        if not self.recovery_enabled:
            raise ValueError("recovery_enabled cannot be false: no acknowledged saga may be left half-done")
        for name in ("cleanup_interval", "recovery_interval"):
            if getattr(self, name) < SECOND:
                raise ValueError(f"{name} must be at least 1s")
        if self.retention_period is not None and self.retention_period <= 0:
            raise ValueError("retention_period must be greater than 0")
        for name in ("default_timeout", "step_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than 0")
        return self
