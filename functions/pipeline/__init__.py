"""What the functions share; staged beside each function's main.py when it is deployed."""
