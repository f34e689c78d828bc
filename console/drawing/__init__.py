"""Pictures drawn on the server: the workflow's graph, the timeline's bars, and the numbers of charts."""
