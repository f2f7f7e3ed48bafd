"""What the first release stores: the fields and members of level 1, in order. Never changed after the release."""

from collections.abc import Mapping

PROGRESS = (
    "version state last_sequence updated_at started_at completed_at timed_out_at error stop_cause stop_reason"
    " quarantined quarantined_until"
)

NAMES: Mapping[str, str] = {
    "Answered": "kind step_index send_id answer",
    "Backoff": "NONE FIXED LINEAR EXPONENTIAL",
    "Call": "generation attempts sends in_flight doubt not_after retry_at backoff started_at last_attempt_at",
    "Cancel": "reason principal",
    "CompensationDefinition": "disabled timeout retry_policy",
    "CompensationState": "status call max_attempts completed_at error",
    "CompensationStatus": "PENDING RUNNING COMPLETED FAILED SKIPPED",
    "CompensationStrategy": "SEQUENTIAL PARALLEL BEST_EFFORT CUSTOM NONE",
    "Completed": "output",
    "CoordinatorMode": "ORCHESTRATION CHOREOGRAPHY HYBRID",
    "Definition": (
        "id name description steps timeout retry_policy compensation_retry_policy compensation_strategy metadata"
    ),
    "Effect": "NONE MAYBE DONE",
    "ErrorType": "VALIDATION TIMEOUT NETWORK SERVICE DATA SYSTEM BUSINESS COMPENSATION",
    "Jitter": "NONE FULL EQUAL DECORRELATED",
    "Kind": "EXECUTE COMPENSATE",
    "Payload": "content_type data",
    "Rejected": "error",
    "RetryPolicy": "backoff initial_delay max_delay multiplier max_attempts jitter",
    "Saga": (
        "id version state definition_id definition_version definition_digest name description mode"
        " compensation_strategy settings steps created_at updated_at started_at completed_at timed_out_at"
        " initial_data error stop_cause stop_reason last_sequence fingerprint quarantined quarantined_until"
        " labels metadata correlation_id source service trace started_by"
    ),
    "SagaError": "code message type retryable timestamp stack_trace details cause",
    "SagaEvent": (
        "sequence type at step_id data previous_state new_state error duration attempt max_attempts service"
        " metadata principal"
    ),
    "SagaState": "PENDING RUNNING STEP_COMPLETED COMPLETED COMPENSATING COMPENSATED FAILED CANCELLED TIMED_OUT",
    "SendId": "generation attempt send",
    "Settings": "timeout step_timeout retry_policy compensation_retry_policy",
    "StepDefinition": (
        "id name description participant action timeout total_timeout delay retry_policy compensation"
        " rejected_status_codes metadata"
    ),
    "StepState": "id index status effect call max_attempts ready_at created_at completed_at output error compensation",
    "StepStatus": "PENDING RUNNING COMPLETED FAILED COMPENSATING COMPENSATED SKIPPED",
    "StopCause": "FAILURE CANCEL DEADLINE",
    "TakenOver": "",
    "TraceContext": "trace_id span_id parent_span_id flags tracestate",
    "Unknown": "error",
    "Wake": "",
}
