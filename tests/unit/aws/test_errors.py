"""What a call to AWS failed with: what is known of it, and what helps."""

from __future__ import annotations

from typing import Any

import botocore.exceptions as raised
import pytest
import urllib3.exceptions

from bunsui.aws.errors import About, beforehand, translate
from bunsui.errors import AwsError

ABOUT = About("lambda", "Invoke", "load", "eu-central-1")


def answer(code: str, status: int, message: str = "no", service: str = "lambda") -> AwsError:
    """The error of an answer of AWS."""
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "r-1"},
    }
    about = About(service, "Invoke", "load", "eu-central-1")
    found = translate(raised.ClientError(response, "Invoke"), about)  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("TooManyRequestsException", 429, "busy"),
        ("ThrottlingException", 400, "busy"),
        ("SomethingNew", 429, "busy"),
        ("ResourceConflictException", 409, "busy"),
        ("ServiceException", 500, "open"),
        ("502", 502, "open"),
        ("KMSDisabledException", 502, "refused"),
        ("ENINotReadyException", 502, "busy"),
        ("ExpiredTokenException", 403, "credentials"),
        ("UnrecognizedClientException", 403, "credentials"),
        ("InvalidSignatureException", 403, "credentials"),
        ("AccessDeniedException", 403, "refused"),
        ("ResourceNotFoundException", 404, "refused"),
        ("InvalidRequestContentException", 400, "refused"),
    ],
)
def test_kind_of_an_answer(code: str, status: int, kind: str) -> None:
    """The code says what is known of the call, else the status does."""
    found = answer(code, status)
    assert (found.kind, found.code, found.request_id) == (kind, code, "r-1")


def test_words_of_other_services() -> None:
    """What says "not ready" for a function is a lasting refusal elsewhere."""
    assert answer("ResourceConflictException", 409, service="ecs").kind == "refused"


def test_a_request_that_stalls() -> None:
    """S3 answers 400 where it has not got all of a request in time: it may get the next one."""
    assert answer("RequestTimeout", 400, service="s3").kind == "open"


def test_a_clock_that_is_wrong() -> None:
    """No permission helps against it, whatever the status says."""
    found = answer("RequestTimeTooSkewed", 403, service="s3")
    assert (found.kind, found.hint) == (
        "refused",
        "set this machine's clock, which is 15 minutes or more from AWS's",
    )


def test_an_error_before_another_call() -> None:
    """Whether it had an effect does not count; what else is known of it stays."""
    assert beforehand(answer("502", 502)).kind == "busy"
    assert beforehand(answer("AccessDeniedException", 403)).kind == "refused"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (raised.NoCredentialsError(), "credentials", "NoCredentials"),
        (raised.ProfileNotFound(profile="x"), "credentials", "ProfileNotFound"),
        (raised.UnauthorizedSSOTokenError(), "credentials", "NoCredentials"),
        (raised.PartialCredentialsError(provider="env", cred_var="x"), "credentials", "NoCredentials"),
        (raised.EndpointConnectionError(endpoint_url="http://x"), "busy", "Unreachable"),
        (raised.ConnectTimeoutError(endpoint_url="http://x"), "busy", "Unreachable"),
        (raised.ProxyConnectionError(proxy_url="http://x"), "busy", "Unreachable"),
        (
            raised.SSLError(endpoint_url="http://x", error="CERTIFICATE_VERIFY_FAILED"),
            "refused",
            "Certificate",
        ),
        (raised.SSLError(endpoint_url="http://x", error="BAD_RECORD_MAC"), "open", "NoAnswer"),
        (urllib3.exceptions.SSLError("BAD_RECORD_MAC"), "open", "NoAnswer"),
        (raised.ReadTimeoutError(endpoint_url="http://x"), "open", "NoAnswer"),
        (raised.ConnectionClosedError(endpoint_url="http://x"), "open", "NoAnswer"),
        (raised.IncompleteReadError(actual_bytes=1, expected_bytes=2), "open", "NoAnswer"),
        (raised.NoRegionError(), "refused", "NoRegion"),
        (raised.ParamValidationError(report="x"), "refused", "ParamValidation"),
    ],
)
def test_kind_without_an_answer(error: Exception, kind: str, code: str) -> None:
    """Where no answer came, it counts whether AWS was reached: else the call had no effect."""
    found = translate(error, ABOUT)
    assert found is not None
    assert (found.kind, found.code) == (kind, code)


def test_all_that_is_known() -> None:
    """The error names service, action, resource, region, account and what helps."""
    message = "User: arn:aws:sts::123456789012:assumed-role/dev/ann is not authorized"
    found = answer("AccessDeniedException", 403, message)
    assert (found.service, found.action, found.resource) == ("lambda", "Invoke", "load")
    assert found.account == "123456789012"
    assert str(found) == (
        "lambda Invoke of 'load' (in eu-central-1, in account 123456789012) failed: AccessDeniedException:"
        f" {message}; the caller needs the permission lambda:InvokeFunction"
    )


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (raised.NoRegionError(), "name one: Runner(aws={'region': ...})"),
        (raised.ProfileNotFound(profile="x"), "name another: Runner(aws={'profile': ...})"),
        (raised.UnauthorizedSSOTokenError(), "renew the credentials of profile 'p'"),
        (raised.EndpointConnectionError(endpoint_url="http://x"), "it had no effect"),
        (raised.ReadTimeoutError(endpoint_url="http://x"), "it may have had an effect all the same"),
    ],
)
def test_remedies(error: Exception, remedy: str) -> None:
    """Each says what to do next, or what may be done."""
    found = translate(error, About("lambda", "Invoke", profile="p"))
    assert found is not None
    assert remedy in (found.hint or "")


def test_the_role_that_lacks_a_permission_is_named() -> None:
    """Whoever is to be given the permission can be found by the error alone."""
    role = "arn:aws:iam::210987654321:role/etl"
    response: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    found = translate(raised.ClientError(response, "x"), About("ecs", "RunTask", role=role))
    assert found is not None
    assert (found.account, found.hint) == ("210987654321", f"role {role} needs the permission ecs:RunTask")


def test_what_is_none_of_aws() -> None:
    """A fault of the program is left as it is."""
    assert translate(ValueError("x"), ABOUT) is None
