"""Figures from plain arrays. The only package that imports matplotlib, and inside its functions only.

Every function takes arrays and an optional figure or axes, returns its artists, changes no global state and never
calls `show`.
"""

from jaxbp.viz.curves import Curves, draw_curves
from jaxbp.viz.decisions import DecisionMap, draw_decision_map
from jaxbp.viz.dots import Dots, draw_dots
from jaxbp.viz.graphs import GraphDrawing, draw_graph, graph_dot, graph_mermaid
from jaxbp.viz.images import Gallery, draw_images
from jaxbp.viz.panels import CurvePanels, draw_panels
from jaxbp.viz.planes import Heatmap, Paths, draw_heatmap, draw_paths
from jaxbp.viz.style import save_figure, style
from jaxbp.viz.surfaces import SampleMap, SurfaceComparison, draw_samples, draw_surface_comparison
from jaxbp.viz.walk import Walk, draw_walk

__all__ = [
    "CurvePanels",
    "Curves",
    "DecisionMap",
    "Dots",
    "Gallery",
    "GraphDrawing",
    "Heatmap",
    "Paths",
    "SampleMap",
    "SurfaceComparison",
    "Walk",
    "draw_curves",
    "draw_decision_map",
    "draw_dots",
    "draw_graph",
    "draw_heatmap",
    "draw_images",
    "draw_panels",
    "draw_paths",
    "draw_samples",
    "draw_surface_comparison",
    "draw_walk",
    "graph_dot",
    "graph_mermaid",
    "save_figure",
    "style",
]
