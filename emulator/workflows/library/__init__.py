"""The standard library of Workflows; each module holds the functions of one or more of Google's modules."""
