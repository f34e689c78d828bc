"""What the functions share; staged beside each function's main.py when it is deployed."""

import gc

from pipeline import lazy_imports

gc.freeze()  # what the framework has loaded stays: the collections while our modules load need not look at it
gc.set_threshold(50_000)  # and these come seldom: an import leaves next to no garbage
lazy_imports.install()
