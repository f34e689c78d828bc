"""What the functions share; staged beside each function's main.py when it is deployed."""

import gc

gc.freeze()  # what the framework has loaded stays: the collections while our modules load need not look at it
