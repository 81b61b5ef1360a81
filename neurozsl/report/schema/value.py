"""What every part of a report is: frozen, closed, finite, and built from numpy or Python alike.

A value of `hardware` is a part as it stands: pydantic reads and writes frozen dataclasses. `Also`
marks one whose JSON has properties beside its fields, for those who read the JSON alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema


def _plain(value: Any) -> Any:
    """`value` with numpy scalars and arrays, at any depth, as Python numbers and lists."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value
    return value


class Value(BaseModel):
    """Frozen, closed (an unknown key is an error) and finite; dataclasses inside it are as well."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, revalidate_instances="always"
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_numpy(cls, data: Any) -> Any:
        return _plain(data) if isinstance(data, Mapping) else data


@dataclass(frozen=True)
class Also:
    """Properties of a value that its JSON has too; they follow from the fields, so none is read."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, of: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the value, with the properties written and passed over."""
        found = core_schema.no_info_before_validator_function(self._without, handler(of))
        found["serialization"] = core_schema.wrap_serializer_function_ser_schema(self._with)
        return found

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The JSON schema of the value, with those of the properties."""
        found = handler(schema)
        for name in self.names:
            kind = get_type_hints(getattr(schema["schema"]["cls"], name).fget)["return"]
            handler.resolve_ref_schema(found)["properties"][name] = TypeAdapter(kind).json_schema()
        return found

    def _with(self, value: Any, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return write(value) | {name: getattr(value, name) for name in self.names}

    def _without(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {key: item for key, item in data.items() if key not in self.names}
