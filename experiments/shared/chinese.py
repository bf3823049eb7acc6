"""Texts of the experiments in Chinese."""

from jaxbp.viz import translate as say

__all__ = ["say"]
