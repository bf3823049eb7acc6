"""Figures from plain arrays. The only package that imports matplotlib, and inside its functions only.

Every function takes arrays and an optional figure or axes, returns its artists, changes no global state and never
calls `show`.
"""

from jaxbp.viz.curves import Curves, draw_curves
from jaxbp.viz.style import save_figure, style
from jaxbp.viz.surfaces import SampleMap, SurfaceComparison, draw_samples, draw_surface_comparison

__all__ = [
    "Curves",
    "SampleMap",
    "SurfaceComparison",
    "draw_curves",
    "draw_samples",
    "draw_surface_comparison",
    "save_figure",
    "style",
]
