"""Computational graphs: `trace_graph` and what it returns."""

from jaxbp.graph.nodes import Graph, Node
from jaxbp.graph.tracing import trace_graph

__all__ = ["Graph", "Node", "trace_graph"]
