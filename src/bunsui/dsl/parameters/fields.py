"""What the declaration of a parameter, or of a template's input, may hold: JSON Schema in parts."""

from __future__ import annotations

from typing import Any

from bunsui.dsl.fields import IDENTIFIER_PATTERN

PARAMETER_TYPES = ("string", "integer", "number", "boolean", "array", "object")
_IDENTIFIER = {"type": "string", "pattern": IDENTIFIER_PATTERN}

#: Fields of the declaration of a parameter, or of a template's input, of any type.
PARAMETER_FIELDS: dict[str, Any] = {
    "name": {
        "title": "Name",
        "description": "A letter, then letters, digits, '_' or '-'; references name it.",
        **_IDENTIFIER,
        "examples": ["source_bucket"],
    },
    "type": {
        "title": "Type",
        "description": "The type of its values.",
        "enum": list(PARAMETER_TYPES),
        "default": "string",
    },
    "required": {
        "title": "Required",
        "description": "Whether a value must be given where there is no default; else it is null.",
        "type": "boolean",
        "default": False,
    },
    "default": {"title": "Default", "description": "The value where none is given."},
    "description": {"title": "Description", "description": "What it means; for people.", "type": "string"},
}
#: Only pipelines have secret parameters: what a template's input brings in stands in the definition.
SECRET = {
    "title": "Secret",
    "description": "Whether its value must be a reference to a secret, such as ${secrets.db_password}.",
    "type": "boolean",
    "default": False,
}
#: All that is no keyword of JSON Schema in a declaration.
DECLARATION_FIELDS = (*PARAMETER_FIELDS, "secret")
_NUMBER_KEYWORDS: dict[str, Any] = {
    "minimum": {"title": "Minimum", "description": "The least value.", "type": "number"},
    "maximum": {"title": "Maximum", "description": "The greatest value.", "type": "number"},
    "exclusiveMinimum": {
        "title": "Exclusive minimum",
        "description": "A value must be more than this.",
        "type": "number",
    },
    "exclusiveMaximum": {
        "title": "Exclusive maximum",
        "description": "A value must be less than this.",
        "type": "number",
    },
    "multipleOf": {
        "title": "Multiple of",
        "description": "A value must be a multiple of this.",
        "type": "number",
        "exclusiveMinimum": 0,
    },
}
_SIZE = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_NAMES = {"type": "array", "items": _TEXT}
_SCHEMA = {"type": ["object", "boolean"]}
#: JSON Schema keywords that a declaration of any type may carry.
COMMON_KEYWORDS: dict[str, Any] = {
    "enum": {
        "title": "Allowed values",
        "description": "The value must be one of these.",
        "type": "array",
        "minItems": 1,
    },
    "const": {"title": "Only value", "description": "The value must be this."},
    "examples": {"title": "Examples", "description": "Some values; for people.", "type": "array"},
    "title": {"title": "Title", "description": "A short name; for people.", "type": "string"},
}
#: The further JSON Schema keywords that a declaration of each type may carry.
PARAMETER_KEYWORDS: dict[str, dict[str, Any]] = {
    "string": {
        "minLength": {"title": "Shortest", "description": "Least number of characters.", **_SIZE},
        "maxLength": {"title": "Longest", "description": "Greatest number of characters.", **_SIZE},
        "pattern": {
            "title": "Pattern",
            "description": "A regular expression that must match somewhere in the text; use ^ and $.",
            "type": "string",
            "examples": ["^[a-z0-9-]{3,63}$"],
        },
        "format": {
            "title": "Format",
            "description": "What kind of text it is, such as date; for people and editors, not checked.",
            "type": "string",
        },
    },
    "integer": _NUMBER_KEYWORDS,
    "number": _NUMBER_KEYWORDS,
    "boolean": {},
    "array": {
        "items": {"title": "Items", "description": "The schema of every item.", **_SCHEMA},
        "prefixItems": {
            "title": "First items",
            "description": "The schemas of the first items.",
            "type": "array",
        },
        "contains": {
            "title": "Contains",
            "description": "The schema of at least one item.",
            **_SCHEMA,
        },
        "minContains": {
            "title": "Fewest that it contains",
            "description": "Least number of items that 'contains' is about.",
            **_SIZE,
        },
        "maxContains": {
            "title": "Most that it contains",
            "description": "Greatest number of items that 'contains' is about.",
            **_SIZE,
        },
        "minItems": {"title": "Fewest", "description": "Least number of items.", **_SIZE},
        "maxItems": {"title": "Most", "description": "Greatest number of items.", **_SIZE},
        "uniqueItems": {
            "title": "Unique",
            "description": "Whether no two items may be equal.",
            "type": "boolean",
        },
    },
    "object": {
        "properties": {
            "title": "Properties",
            "description": "The schemas of fields, by name.",
            "type": "object",
        },
        "patternProperties": {
            "title": "Properties by pattern",
            "description": "The schemas of fields whose names match a regular expression.",
            "type": "object",
            "maxProperties": 1000,
        },
        "additionalProperties": {
            "title": "Further properties",
            "description": "The schema of all other fields, or false where there may be none.",
            **_SCHEMA,
        },
        "propertyNames": {
            "title": "Names of properties",
            "description": "The schema of the names of all fields.",
            **_SCHEMA,
        },
        "dependentRequired": {
            "title": "Required beside others",
            "description": "The fields that must be there where another one is, by its name.",
            "type": "object",
            "additionalProperties": _NAMES,
        },
        "dependentSchemas": {
            "title": "Schemas beside others",
            "description": "The schemas of the whole mapping where a field is there, by its name.",
            "type": "object",
        },
        "minProperties": {"title": "Fewest", "description": "Least number of fields.", **_SIZE},
        "maxProperties": {"title": "Most", "description": "Greatest number of fields.", **_SIZE},
    },
}

#: The types that a schema within a parameter's may name: a field of a mapping may be null.
VALUE_TYPES = (*PARAMETER_TYPES, "null")
_SCHEMAS = {"type": "array", "minItems": 1}
_BOOLEAN = {"type": "boolean"}
#: The keywords that a schema within a parameter's may have; what they mean is known from JSON Schema.
NESTED_KEYWORDS: dict[str, Any] = {
    **COMMON_KEYWORDS,
    **{name: part for keywords in PARAMETER_KEYWORDS.values() for name, part in keywords.items()},
    "type": {"type": ["string", "array"], "items": _TEXT},
    "required": _NAMES,
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), _SCHEMAS),
    **dict.fromkeys(("not", "if", "then", "else"), _SCHEMA),
    # For people and editors.
    "default": {},
    **dict.fromkeys(("description", "$comment", "contentEncoding", "contentMediaType"), _TEXT),
    **dict.fromkeys(("deprecated", "readOnly", "writeOnly"), _BOOLEAN),
}
