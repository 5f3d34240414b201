"""The form for a new connection in a cell. What is typed goes from the browser to the server, never through here."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget
from traitlets import Bool, Dict, Enum, Float, Integer, Unicode, Union, validate

from ..errors import SecretInCode
from .fallback import form_bundle
from .panel import MODULE, MODULE_VERSION, with_fallback
from .prefill import secret_values


class ConnectionForm(DOMWidget):  # type: ignore[misc]
    """A form for a new connection, prefilled with plain values.

    `provider` is the kind's id, empty to let the person choose. `name` and `values` prefill the form. `state` becomes
    `saved` or `cancelled`; `connection` is then the name under which it was saved. A cell must not wait for it: a
    trait does not change while the kernel is busy.

    Raises: SecretInCode: `values` has a field that looks like a secret.
    """

    _model_module = Unicode(MODULE).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _model_name = Unicode("ConnectionFormModel").tag(sync=True)
    _view_module = Unicode(MODULE).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("ConnectionFormView").tag(sync=True)

    provider = Unicode("", help="Id of the kind; empty: the picker.").tag(sync=True)
    name = Unicode("", help="Prefilled name of the connection.").tag(sync=True)
    values = Dict(
        key_trait=Unicode(),
        value_trait=Union([Bool(), Integer(), Float(), Unicode()]),
        help="Prefilled plain fields by name; a text is read as the field's own type.",
    ).tag(sync=True)
    state = Enum(("open", "saved", "cancelled"), "open", help="What became of the form.").tag(sync=True)
    connection = Unicode("", help="Name of the saved connection; empty until then.").tag(sync=True)

    @validate("values")
    def _no_secrets(self, proposal: Any) -> Any:
        if secret_values(proposal["value"]):
            raise SecretInCode(provider=self.provider)
        return proposal["value"]

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_fallback(super()._repr_mimebundle_(**kwargs), form_bundle(self.provider))
