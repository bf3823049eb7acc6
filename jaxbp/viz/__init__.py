"""Figures from plain arrays. The only package that imports matplotlib, and inside its functions only.

Every function takes arrays and an optional figure or axes, returns its artists, changes no global state and never
calls `show`.
"""

from jaxbp.viz.curves import Curves, draw_curves
from jaxbp.viz.decisions import DecisionMap, draw_decision_map
from jaxbp.viz.dots import Dots, draw_dots
from jaxbp.viz.films import Film, animate_training, animate_walk
from jaxbp.viz.graphs import GraphDrawing, draw_graph, graph_dot, graph_mermaid
from jaxbp.viz.images import Gallery, draw_images
from jaxbp.viz.layers import GradientFlow, WeightMatrices, draw_gradient_flow, draw_weights
from jaxbp.viz.page import save_page
from jaxbp.viz.pages import save_film
from jaxbp.viz.panels import CurvePanels, draw_panels
from jaxbp.viz.planes import Heatmap, Paths, draw_heatmap, draw_paths
from jaxbp.viz.style import BLACK, BLUE, VERMILLION, save_figure, style
from jaxbp.viz.surfaces import SampleMap, SurfaceComparison, draw_samples, draw_surface_comparison
from jaxbp.viz.units import Folds, UnitMaps, draw_folds, draw_unit_maps
from jaxbp.viz.walk import Walk, draw_walk

__all__ = [
    "BLACK",
    "BLUE",
    "VERMILLION",
    "CurvePanels",
    "Curves",
    "DecisionMap",
    "Dots",
    "Film",
    "Folds",
    "Gallery",
    "GradientFlow",
    "GraphDrawing",
    "Heatmap",
    "Paths",
    "SampleMap",
    "SurfaceComparison",
    "UnitMaps",
    "Walk",
    "WeightMatrices",
    "animate_training",
    "animate_walk",
    "draw_curves",
    "draw_decision_map",
    "draw_dots",
    "draw_folds",
    "draw_gradient_flow",
    "draw_graph",
    "draw_heatmap",
    "draw_images",
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
    "save_page",
    "style",
]
