"""The fields of ``type: http``, as bunsui validates them and as editors explain them."""

from __future__ import annotations

from typing import Any

#: Seconds that a connection may take to come about, where the job does not say.
CONNECT_TIMEOUT = 10.0
#: Seconds for which the server may be silent.
READ_TIMEOUT = 60.0
#: Seconds to wait, in all of one attempt, where the server says how long.
MAX_WAIT = 60.0
#: Bytes of a body.
MAX_BYTES = 10 * 2**20
METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH")

_SECONDS = {"type": "number", "exclusiveMinimum": 0}

SCHEMA: dict[str, Any] = {
    "title": "HTTP request",
    "description": "One HTTP request. Its output is the status, chosen headers, and the body.",
    "type": "object",
    "properties": {
        "url": {
            "title": "URL",
            "description": "Where the request goes: http or https, with a host.",
            "type": "string",
            "minLength": 1,
            "examples": ["https://api.example.com/orders"],
        },
        "method": {
            "title": "Method",
            "description": "What is asked for.",
            "enum": list(METHODS),
            "default": "GET",
            "examples": ["POST"],
        },
        "headers": {
            "title": "Headers",
            "description": "Headers of the request. One that is null is left out.",
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "null"]},
            "examples": [{"Authorization": "Bearer ${secrets.api_token}"}],
        },
        "query": {
            "title": "Query",
            "description": "What is added to the URL behind the question mark. A list repeats its name; what"
            " is null is left out.",
            "type": "object",
            "additionalProperties": {
                "type": ["string", "number", "boolean", "null", "array"],
                "items": {"type": ["string", "number", "boolean"]},
            },
            "examples": [{"day": "${day}", "page": 1}],
        },
        "json": {
            "title": "JSON",
            "description": "Any value, sent as a body of JSON.",
            "examples": [{"order": "${jobs.order.output.id}"}],
        },
        "text": {
            "title": "Text",
            "description": "A text, sent as the body, in UTF-8.",
            "type": "string",
            "examples": ["hello"],
        },
        "expect": {
            "title": "Expect",
            "description": "The statuses that are a success, each by its number or as a class such as 2xx.",
            "type": "array",
            "items": {"type": ["integer", "string"], "minimum": 200, "maximum": 599, "pattern": "^[2-5]xx$"},
            "minItems": 1,
            "default": ["2xx"],
            "examples": [["2xx", 404]],
        },
        "follow_redirects": {
            "title": "Follow redirects",
            "description": "Whether to go where the server points to. 'Authorization' goes to no other"
            " host; other headers do.",
            "type": "boolean",
            "default": False,
            "examples": [True],
        },
        "connect_timeout": {
            "title": "Timeout of the connection",
            "description": "Seconds that a connection may take to come about.",
            **_SECONDS,
            "default": CONNECT_TIMEOUT,
            "examples": [5],
        },
        "read_timeout": {
            "title": "Timeout of reading",
            "description": "Seconds for which the server may be silent. The job's 'timeout' limits"
            " the whole.",
            **_SECONDS,
            "default": READ_TIMEOUT,
            "examples": [300],
        },
        "max_wait": {
            "title": "Longest wait",
            "description": "Seconds to wait, in all of one attempt, where the server answers 429 or 503 and"
            " says with Retry-After when to ask again; 0: never.",
            "type": "number",
            "minimum": 0,
            "maximum": 3600,
            "default": MAX_WAIT,
            "examples": [0],
        },
        "max_bytes": {
            "title": "Most bytes",
            "description": "Bytes that the body of the answer may have, once it is unpacked.",
            "type": "integer",
            "minimum": 1,
            "maximum": 2**40,
            "default": MAX_BYTES,
            "examples": [2**30],
        },
        "into": {
            "title": "Into",
            "description": "A file that the body is saved to instead of being part of the output; relative"
            " to the definition's folder. It is there with all of its content or not at all.",
            "type": "string",
            "minLength": 1,
            "examples": ["data/orders.csv"],
        },
        "response_headers": {
            "title": "Headers of the response",
            "description": "The names of those that the output has, where the server sends them.",
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "default": ["content-type"],
            "examples": [["content-type", "etag"]],
        },
        "idempotency_key": {
            "title": "Idempotency key",
            "description": "Whether the header 'Idempotency-Key' is sent, the same with each attempt of the"
            " job. Where nothing is said: with POST and PATCH.",
            "type": "boolean",
            "examples": [False],
        },
    },
    "required": ["url"],
}
