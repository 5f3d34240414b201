"""The form for a new connection in a cell. What is typed goes from the browser to the server, never through here.

A widget's state is saved into the notebook, and a notebook may come from anywhere. So traits never hold values of
fields: suggested ones go to the broker, and only their id is here. It is meaningless once this kernel has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ipywidgets import DOMWidget
from traitlets import Enum, Unicode

from ..contracts.secret_words import secret_values
from ..errors import SecretInCode
from ..kernel import api
from .fallback import form_bundle
from .panel import MODULE, MODULE_VERSION, with_fallback


class ConnectionForm(DOMWidget):  # type: ignore[misc]
    """A form for a new connection, with suggestions for its plain fields.

    `provider` is the kind's id, or empty to let the person choose. `name` and `values` are suggestions: the form shows
    them as coming from this notebook, for ten minutes and while this kernel runs. `state` becomes `saved` or
    `cancelled`; `connection` is then the name under which it was saved. A cell must not wait for it: a trait does not
    change while the kernel is busy.

    Raises:
        SecretInCode: `values` has a field that looks like a secret.
        ConnvaultError: the suggestions were refused; see `kernel.api.propose`.
    """

    _model_module = Unicode(MODULE).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _model_name = Unicode("ConnectionFormModel").tag(sync=True)
    _view_module = Unicode(MODULE).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("ConnectionFormView").tag(sync=True)

    provider = Unicode("", help="Id of the kind of connection; empty: the picker.").tag(sync=True)
    proposal = Unicode("", help="Id of the suggestion; empty: an empty form.").tag(sync=True)
    state = Enum(("open", "saved", "cancelled"), "open", help="State of the form.").tag(sync=True)
    connection = Unicode("", help="Name of the saved connection; empty until then.").tag(sync=True)

    def __init__(
        self, *, provider: str = "", name: str = "", values: Mapping[str, Any] | None = None, **traits: Any
    ) -> None:
        if values and secret_values(values):
            # Not even sent to the broker, which would refuse it too.
            raise SecretInCode(provider=provider)
        if name or values:
            traits["proposal"] = api.propose(provider=provider, name=name, fields=values)
        super().__init__(provider=provider, **traits)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_fallback(super()._repr_mimebundle_(**kwargs), form_bundle(self.provider, self.proposal))
