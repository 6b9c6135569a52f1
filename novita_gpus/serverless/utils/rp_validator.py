"""`validate`: checks an input against a schema of Python types."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Callable, Mapping
from typing import Final

from novita_sdk.typed import Violation
from novita_sdk.wire.payload import JSONValue

__all__ = ["validate"]

_MISSING: Final = object()


def validate(raw_input: JSONValue, schema: Mapping[str, object]) -> dict[str, JSONValue]:
    """Checks a job's input; neither the input nor the schema is changed.

    Args:
        raw_input: The input, an object.
        schema: By key, an object, or one as JSON text, with `type` (a Python type, or a tuple of types), `required`,
            `default` and `constraints` (a function that says whether a value will do).

    Returns:
        `{"validated_input": …}`, with defaults and with whole numbers as floats where those are wanted; or
        `{"errors": […]}`, with a sentence for each violation.
    """
    if not isinstance(raw_input, dict):
        return {"errors": [_say("", "type", "must be an object", raw_input)]}
    errors = [_unknown(key, raw_input[key], schema) for key in raw_input if key not in schema]
    valid = dict(raw_input)
    for key, text in schema.items():
        rules = _rules(text)
        value = valid.get(key, _MISSING)
        if problem := _problem_of(rules):
            errors.append(_say(key, "schema", problem))
        elif value is _MISSING and (rules.get("required") or "default" not in rules):
            errors.append(_say(key, "required", "must be there"))
        elif value is _MISSING:
            valid[key] = copy.deepcopy(rules["default"])
        elif type(value) is int and rules["type"] is float:
            valid[key] = float(value)
        elif not _is_of_type(value, rules):
            errors.append(_say(key, "type", f"must be {_name(rules['type'])}", value))
            continue
        constraints = rules.get("constraints")
        if key in valid and callable(constraints) and (reason := _broken(constraints, valid[key])):
            errors.append(_say(key, "constraints", reason, valid[key]))
    return {"errors": errors} if errors else {"validated_input": valid}


def _rules(value: object) -> Mapping[str, JSONValue]:
    """The rules of a key; nothing where they are none."""
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def _problem_of(rules: Mapping[str, JSONValue]) -> str | None:
    kinds = rules.get("type")
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    return None if all(isinstance(kind, type) for kind in kinds) else "has no Python type in the schema"


def _is_of_type(value: JSONValue, rules: Mapping[str, JSONValue]) -> bool:
    # A default stands for its own type too: None for a text that may be left out.
    return isinstance(value, rules["type"]) or ("default" in rules and isinstance(value, type(rules["default"])))


def _broken(constraints: Callable[[JSONValue], object], value: JSONValue) -> str | None:
    try:
        return None if constraints(value) else "does not meet the constraints"
    except Exception as error:  # noqa: BLE001 - the user's own function
        return f"does not meet the constraints, which raised {type(error).__name__}: {error}"


def _unknown(key: str, value: JSONValue, schema: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(key, schema, n=1)
    return _say(key, "unknown_field", f"is not known; did you mean {near[0]}?" if near else "is not known", value)


def _name(kinds: JSONValue) -> str:
    return " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))


def _say(field: str, rule: str, message: str, value: JSONValue = None) -> str:
    return str(Violation(field=field, rule=rule, message=message, value=value))
