"""The stages from photos with labels to a bank; each hands over files in a work folder.

``classifier`` -> ``cams`` -> ``proposals`` -> ``features`` -> ``fem`` -> ``bank``. What a stage
writes lies in ``<work>/<stage>/<key>/``, where the key is a hash of everything that the results
depend on; a changed option therefore recomputes what depends on it and nothing else, and going
back to the old value finds the old files.
"""

from __future__ import annotations
