"""Pure functions that measure: map distances, image distances, classifier quality, intervals of rates and means."""
