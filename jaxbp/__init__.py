"""jaxbp: backpropagation written out by hand, in JAX.

Importing it touches no device and loads no matplotlib: `jaxbp.viz` is loaded when it is first used.
"""

import importlib
import signal
import sys
from typing import TYPE_CHECKING, Any

if sys.orig_argv[1:3] == ["-m", "jaxbp"]:  # the command line: Ctrl-C while JAX is imported
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from jaxbp import training as training
from jaxbp._version import __version__ as __version__
from jaxbp.activations import Activation as Activation
from jaxbp.backprop import Trace as Trace
from jaxbp.backprop import backprop as backprop
from jaxbp.backprop import loss_and_gradient as loss_and_gradient
from jaxbp.export import export_onnx as export_onnx
from jaxbp.export import export_program as export_program
from jaxbp.fitting import fit_model as fit_model
from jaxbp.fitting.model import Model as Model
from jaxbp.fitting.model import load as load
from jaxbp.gradcheck import check_gradients as check_gradients
from jaxbp.gradcheck import check_rule as check_rule
from jaxbp.gradcheck import explain_gradient as explain_gradient
from jaxbp.graph import Graph as Graph
from jaxbp.graph import trace_graph as trace_graph
from jaxbp.jacobian import neural_tangent_kernel as neural_tangent_kernel
from jaxbp.jacobian import per_example_gradients as per_example_gradients
from jaxbp.least_squares import solve_output as solve_output
from jaxbp.losses import Loss as Loss
from jaxbp.network import predict as predict
from jaxbp.network import reference_predict as reference_predict
from jaxbp.params import Layer as Layer
from jaxbp.params import Mlp as Mlp
from jaxbp.params import Params as Params
from jaxbp.params import init as init
from jaxbp.training import Checkpoint as Checkpoint
from jaxbp.training import EarlyStopping as EarlyStopping
from jaxbp.training import FitResult as FitResult
from jaxbp.training import KeepBest as KeepBest
from jaxbp.training import RecordLayers as RecordLayers
from jaxbp.training import dropout_masks as dropout_masks
from jaxbp.training import first_order as first_order
from jaxbp.training import fit as fit
from jaxbp.training import fit_many as fit_many
from jaxbp.training import gauss_newton as gauss_newton

if TYPE_CHECKING:
    from jaxbp import viz as viz


def __getattr__(name: str) -> Any:
    if name == "viz":
        return importlib.import_module("jaxbp.viz")
    raise AttributeError(f"module 'jaxbp' has no attribute {name!r}")
