"""The code that the functions share; deployment stages it next to each function's main.py."""

import gc

from pipeline import lazy_imports

gc.freeze()  # exempts what the framework has loaded from the collections while our modules load
gc.set_threshold(50_000)  # makes these rare: imports leave almost no garbage
lazy_imports.install()
