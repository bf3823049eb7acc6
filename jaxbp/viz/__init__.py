"""Figures from plain arrays and typed results. The only package that imports matplotlib, inside its functions only.

A drawing function returns a `Drawing`, changes no global state, knows no pyplot and never calls `show`. Functions of
one panel take the `ax` to draw in. Nothing here runs a network or autodiff.
"""

from jaxbp.viz.curves import draw_curves, draw_panels
from jaxbp.viz.dots import draw_dots
from jaxbp.viz.errors import draw_error_detail, draw_kink_lines
from jaxbp.viz.films import Film, animate_training, animate_walk
from jaxbp.viz.graphs import draw_graph, graph_dot, graph_mermaid
from jaxbp.viz.images import draw_images
from jaxbp.viz.layers import draw_gradient_flow, draw_weights
from jaxbp.viz.pages import save_film
from jaxbp.viz.planes import draw_decision_map, draw_heatmap, draw_paths
from jaxbp.viz.style import Drawing, save_figure, style
from jaxbp.viz.surfaces import draw_samples, draw_surface_comparison
from jaxbp.viz.units import draw_unit_maps
from jaxbp.viz.walk import draw_walk

__all__ = [
    "Drawing",
    "Film",
    "animate_training",
    "animate_walk",
    "draw_curves",
    "draw_decision_map",
    "draw_dots",
    "draw_error_detail",
    "draw_gradient_flow",
    "draw_graph",
    "draw_heatmap",
    "draw_images",
    "draw_kink_lines",
    "draw_panels",
    "draw_paths",
    "draw_samples",
    "draw_surface_comparison",
    "draw_unit_maps",
    "draw_walk",
    "draw_weights",
    "graph_dot",
    "graph_mermaid",
    "save_figure",
    "save_film",
    "style",
]
