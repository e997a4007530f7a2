"""Seeded generator of dermoscopy-like sample pictures. Everything is drawn; no photograph is used."""

from sample_data.generator.classes import RECIPES, draw_lesion

__all__ = ["RECIPES", "draw_lesion"]
