"""What a call to AWS failed with, as an `AwsError`: what is known of it, and what helps.

The codes stand in AWS's guides: "Common errors" of each service's API reference, and "Retry behavior" of the
SDKs (https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from bunsui.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: There is nobody in whose name to call, or AWS does not know them (any more).
CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
#: There were too many calls; or what is called is not ready: such a call has no effect.
BUSY = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
#: The same, of one service only: elsewhere the words mean something else.
BUSY_OF: Mapping[str, frozenset[str]] = {
    # As many runs of the job as it may have run already: "StartJobRun" in Glue's API reference.
    "glue": frozenset({"ConcurrentRunsExceededException"}),
    # While the function is made, updated or woken: "Troubleshoot invocation issues" in Lambda's guide.
    "lambda": frozenset(
        {
            "CodeArtifactUserPendingException",
            "ENILimitReachedException",
            "ENINotReadyException",
            "ResourceConflictException",
            "ResourceNotReadyException",
            "SnapStartNotReadyException",
            "SubnetIPAddressLimitReachedException",
        }
    ),
    # Of a single write, with a transaction or with another region's that is on its way.
    "dynamodb": frozenset({"ReplicatedWriteConflictException", "TransactionConflictException"}),
    # Where others make the same group: "CreateLogGroup" in the API reference of CloudWatch Logs.
    "logs": frozenset({"OperationAbortedException"}),
    # Of a conditional write, with another that is on its way.
    "s3": frozenset({"ConditionalRequestConflict", "OperationAborted"}),
    # As many executions as may run do: one has to end first. And of the key that a machine is encrypted with.
    "stepfunctions": frozenset({"ExecutionLimitExceeded", "KmsThrottlingException"}),
}
#: What is not as it has to be, of one service: the call had no effect, whatever status the answer has.
REFUSED_OF: Mapping[str, frozenset[str]] = {
    # "Invoke" in its API reference has them with the status 502.
    "lambda": frozenset(
        {
            "EC2AccessDeniedException",
            "InvalidRuntimeException",
            "InvalidSecurityGroupIDException",
            "InvalidSubnetIDException",
            "InvalidZipFileException",
            "KMSAccessDeniedException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
        }
    ),
}
#: It may have had an effect, of one service, whatever status the answer has.
OPEN_OF: Mapping[str, frozenset[str]] = {
    "glue": frozenset({"InternalServiceException", "OperationTimeoutException"}),
}
#: AWS has not got all of a request, or not in time, and says so with a status below 500: "Error responses" in
#: S3's API reference.
_STALLED = frozenset({"RequestTimeout", "RequestTimeoutException"})
#: This machine's clock is wrong.
_SKEWED = "RequestTimeTooSkewed"
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "NotAuthorized",
        "OptInRequired",
        "UnauthorizedOperation",
    }
)
_NOT_FOUND = re.compile(r"NotFound|NoSuch|DoesNotExist|Missing")
#: What botocore raises where there are no credentials, or none can be had.
_NO_CREDENTIALS = frozenset(
    {
        "CredentialRetrievalError",
        "LoginAuthorizationCodeError",
        "LoginError",
        "LoginInsufficientPermissions",
        "LoginRefreshRequired",
        "LoginTokenLoadError",
        "MetadataRetrievalError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "RefreshWithMFAUnsupportedError",
        "SSOError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "UnknownCredentialError",
    }
)
#: What botocore raises before it has sent anything.
_NOT_REACHED = frozenset(
    {"ConnectTimeoutError", "ConnectionError", "EndpointConnectionError", "ProxyConnectionError"}
)
#: What it raises where no whole answer came. TLS may break before a request is sent, or after.
_NO_ANSWER = frozenset(
    {
        "ChecksumError",
        "ConnectionClosedError",
        "FlexibleChecksumError",
        "HTTPClientError",
        "IncompleteReadError",
        "ReadTimeoutError",
        "ResponseStreamingError",
        "SSLError",
    }
)
#: An ARN in a text, up to its account.
_ACCOUNT = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:(\d{12}):")
#: Services that IAM calls otherwise.
_PREFIXES = {"stepfunctions": "states"}
#: The permission that AWS says is missing.
_MISSING = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
#: Actions whose permission is called otherwise: "Actions, resources, and condition keys" in IAM's reference.
_PERMISSIONS = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:HeadObject": "s3:GetObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:CopyObject": "s3:PutObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:DeleteObjects": "s3:DeleteObject",
}

#: Characters of what AWS says that an error repeats.
MAX_MESSAGE = 1000
#: The code of a call whose answer did not come, or not as a whole.
NO_ANSWER = "NoAnswer"

Kind = Literal["refused", "busy", "open", "credentials"]


@frozen
class About:
    """A call to AWS, as errors name it."""

    #: As boto3 calls it, such as ``lambda``.
    service: str
    #: As AWS calls it, such as ``Invoke``.
    action: str
    #: What it is about: a name or an ARN.
    resource: str | None = None
    region: str | None = None
    #: The role in which it is made; None: as whoever the credentials are of.
    role: str | None = None
    profile: str | None = None

    @property
    def permission(self) -> str:
        """What IAM calls the right to do this."""
        name = f"{_PREFIXES.get(self.service, self.service)}:{self.action}"
        return _PERMISSIONS.get(name, name)


def translate(error: Exception, about: About) -> AwsError | None:
    """What boto3 raised, as an `AwsError`; None where it is none of AWS's, or of botocore's, errors."""
    # By name, as anything else here: botocore is imported by who makes the calls.
    names = [kind.__name__ for kind in type(error).__mro__]
    if "ClientError" in names:
        return _answered(error, about)
    name = names[0]
    text = " ".join(str(error).split())
    if type(error).__module__.startswith("urllib3."):  # Of an answer whose rest botocore reads as it comes.
        return _error(about, f"no answer came: {text}", NO_ANSWER, "open")
    if "BotoCoreError" not in names:
        return None
    if name == "ProfileNotFound":
        return _error(about, f"there is no such profile: {text}", name, "credentials")
    if not _NO_CREDENTIALS.isdisjoint(names):
        return _error(about, f"there are no valid credentials: {text}", "NoCredentials", "credentials")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return _error(about, f"the endpoint's certificate is not trusted: {text}", "Certificate", "refused")
    if not _NO_ANSWER.isdisjoint(names):  # An SSLError is a ConnectionError, too.
        return _error(about, f"no answer came: {text}", NO_ANSWER, "open")
    if not _NOT_REACHED.isdisjoint(names):
        return _error(about, f"AWS was not reached: {text}", "Unreachable", "busy")
    if name == "NoRegionError":
        return _error(about, "no region is named", "NoRegion", "refused")
    return _error(about, f"the call was not made: {text}", name.removesuffix("Error"), "refused")


def _answered(error: Exception, about: About) -> AwsError:
    """An error that AWS sent."""
    response: Mapping[str, Any] = getattr(error, "response", {})
    said = response.get("Error", {})
    meta = response.get("ResponseMetadata", {})
    code = str(said.get("Code") or "Unknown")
    # What stands between here and AWS may answer with a page.
    message = " ".join(str(said.get("Message") or said.get("message") or "").split())[:MAX_MESSAGE]
    status = meta.get("HTTPStatusCode", 0)
    kind = _kind(about.service, code, status)
    text = code if not message else f"{code}: {message}"
    return _error(about, text, code, kind, message, meta.get("RequestId"), denied=_is_denied(code, status))


def beforehand(error: AwsError) -> AwsError:
    """The error of a call that goes before another: whatever effect it had, that one had none."""
    if error.kind == "open":
        error.kind, error.hint = "busy", "it may be made again later"
    return error


def is_denied(error: AwsError) -> bool:
    """Whether AWS refused a call because whoever made it may not make it."""
    return error.kind == "refused" and error.code in _DENIED


def failed_with(code: str, message: str, about: About) -> AwsError:
    """The error of one of several things in an answer that is none by itself."""
    kind: Kind = "open" if code == "InternalError" else _kind(about.service, code, 0)
    text = f"{code}: {message}"
    return _error(about, text, code, kind, message, denied=_is_denied(code, 0))


def _is_denied(code: str, status: int) -> bool:
    return code in _DENIED or (status == 403 and code not in CREDENTIALS and code != _SKEWED)


def _kind(service: str, code: str, status: int) -> Kind:
    if code in CREDENTIALS:
        return "credentials"
    if code in BUSY or code in BUSY_OF.get(service, ()) or status == 429:
        return "busy"
    if code in REFUSED_OF.get(service, ()):
        return "refused"
    is_open = status >= 500 or code in _STALLED or code in OPEN_OF.get(service, ())
    return "open" if is_open else "refused"


def _error(
    about: About,
    text: str,
    code: str,
    kind: Kind,
    message: str = "",
    request_id: str | None = None,
    *,
    denied: bool = False,
) -> AwsError:
    account = account_in(about.role, message, about.resource)
    what = f"{about.service} {about.action}".rstrip()
    if about.resource is not None:
        what += f" of '{about.resource}'"
    where = [] if about.region is None else [f"in {about.region}"]
    where += [] if account is None else [f"in account {account}"]
    place = f" ({', '.join(where)})" if where else ""
    return AwsError(
        f"{what}{place} failed: {text}",
        service=about.service,
        action=about.action,
        resource=about.resource,
        account=account,
        request_id=request_id,
        code=code,
        kind=kind,
        hint=_remedy(about, code, kind, message, denied=denied),
    )


def account_in(*texts: str | None) -> str | None:
    """The account of the first ARN that stands in one of these."""
    for text in texts:
        if text is not None and (found := _ACCOUNT.search(text)):
            return found[1]
    return None


def _remedy(about: About, code: str, kind: Kind, message: str, *, denied: bool) -> str:
    if code == "ProfileNotFound":
        return (
            "name another: Runner(aws={'profile': ...}), 'bunsui config set --user aws.profile NAME', or"
            " AWS_PROFILE"
        )
    if kind == "credentials":
        profile = "" if about.profile is None else f" of profile '{about.profile}'"
        return f"renew the credentials{profile}, such as with 'aws sso login', or name others"
    if code == "NoRegion":
        return (
            "name one: Runner(aws={'region': ...}), 'bunsui config set --user aws.region NAME', or AWS_REGION"
        )
    if code == _SKEWED:
        return "set this machine's clock, which is 15 minutes or more from AWS's"
    if kind == "busy":
        return "it had no effect, and may be made again later"
    if kind == "open":
        return "it may have had an effect all the same"
    if denied:
        who = "the caller" if about.role is None else f"role {about.role}"
        # One call may take several, such as a transaction of DynamoDB; mostly AWS says which is missing.
        missing = _MISSING.search(message)
        return f"{who} needs the permission {about.permission if missing is None else missing[1]}"
    if _NOT_FOUND.search(code):
        where = "" if about.region is None else f" {about.region}"
        return f"make it, or name another; what is called is in the region{where} of the caller's account"
    return "see what AWS says of it, and change the job"
