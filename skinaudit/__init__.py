"""skinaudit: does an attack that changes a skin-lesion classifier's diagnosis also keep its saliency map?"""

__version__ = "0.1.0"
