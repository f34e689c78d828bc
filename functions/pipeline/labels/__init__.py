"""True labels of inputs: as messages and files bring them, kept beside the answers that they are compared with."""
