"""Requests made from the API's own description: whatever they hold, the answer is as described."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from end_to_end.serving import SECONDS, Serving, call, calls, serving

Operation = APIOperation[Any, Any, Any, Any]
AnyCase = Case[Any]

CASES = int(os.environ.get("SENTINEL_FUZZ_CASES", "500"))
"""Requests in all, spread over the operations."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("fuzzed")) as running:
        running.send_and_wait(*calls("chat", 120), call("chat", latency_ms=9000.0))
        running.send_and_wait(*calls("chat", 30, errors=["timeout"]))
        yield running


def operations_of(service: Serving) -> list[Operation]:
    description = schemathesis.openapi.from_dict(service.read("/openapi.json"))
    found = list(description.get_all_operations())
    assert all(isinstance(result, Ok) for result in found)
    return [result.ok() for result in found if isinstance(result, Ok)]


def requests_of(operation: Operation, incident: str) -> st.SearchStrategy[AnyCase]:
    """Return requests as they should be and as they should not be, some of a real incident."""
    known = {"incident_id": incident} if "{incident_id}" in operation.path else None
    return st.one_of(
        [
            operation.as_strategy(mode, path_parameters=path)
            for mode in GenerationMode
            for path in {id(p): p for p in (None, known)}.values()
        ]
    )


def test_no_request_made_from_the_description_is_answered_otherwise_than_described(
    service: Serving,
) -> None:
    operations = operations_of(service)
    incident = service.read("/api/v1/incidents")["incidents"][0]["id"]
    taking = sum(bool(o.body or o.query or o.path_parameters) for o in operations)
    assert taking >= 9
    statuses: Counter[int] = Counter()
    url = f"http://127.0.0.1:{service.port}"
    with requests.Session() as session:
        for operation in operations:

            @settings(
                max_examples=-(-CASES // taking),
                phases=[Phase.generate],
                database=None,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            @given(requests_of(operation, incident))
            def answered_as_described(case: AnyCase) -> None:
                answer = case.call(url, session=session, timeout=SECONDS)
                statuses[answer.status_code] += 1
                case.validate_response(answer, checks=CHECKS)

            answered_as_described()
    assert sum(statuses.values()) >= CASES * 0.9, statuses
    assert min(statuses[200], statuses[400]) > CASES / 10, statuses
    assert {404, 409} <= statuses.keys(), statuses
    assert service.is_alive
    assert not service.logged("request.failed")
    service.send_and_wait(call("after"))
