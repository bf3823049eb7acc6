"""jaxbp: backpropagation written out by hand, in JAX.

The names below load the module that defines them when they are first used, so that `import jaxbp` costs next to
nothing, loads neither JAX nor matplotlib by itself, and touches no device.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxbp import data as data
    from jaxbp import training as training
    from jaxbp import viz as viz
    from jaxbp.gradcheck import check_gradients as check_gradients
    from jaxbp.gradcheck import check_rule as check_rule
    from jaxbp.graph import Graph as Graph
    from jaxbp.graph import trace_graph as trace_graph
    from jaxbp.network import predict as predict
    from jaxbp.network import reference_predict as reference_predict
    from jaxbp.objective import dropout_masks as dropout_masks
    from jaxbp.objective import loss_and_gradient as loss_and_gradient
    from jaxbp.params import Layer as Layer
    from jaxbp.params import Mlp as Mlp
    from jaxbp.params import Params as Params
    from jaxbp.params import init as init
    from jaxbp.trace import Trace as Trace
    from jaxbp.trace import backprop as backprop
    from jaxbp.training import FitResult as FitResult
    from jaxbp.training import first_order as first_order
    from jaxbp.training import fit as fit
    from jaxbp.training import fit_stages as fit_stages
    from jaxbp.training import gauss_newton as gauss_newton

_HOMES = {
    "params": ("Layer", "Mlp", "Params", "init"),
    "network": ("predict", "reference_predict"),
    "trace": ("Trace", "backprop"),
    "objective": ("dropout_masks", "loss_and_gradient"),
    "graph": ("Graph", "trace_graph"),
    "gradcheck": ("check_gradients", "check_rule"),
    "training": ("FitResult", "first_order", "fit", "fit_stages", "gauss_newton"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = (
    "activations",
    "data",
    "dense",
    "gradcheck",
    "graph",
    "ledger",
    "losses",
    "names",
    "network",
    "numerical",
    "objective",
    "params",
    "trace",
    "training",
)

__all__ = sorted(_HOME_OF)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f"jaxbp.{_HOME_OF[name]}"), name)
    elif name in _MODULES or name == "viz":
        value = importlib.import_module(f"jaxbp.{name}")
    else:
        raise AttributeError(f"module 'jaxbp' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, *_MODULES, "viz"})
