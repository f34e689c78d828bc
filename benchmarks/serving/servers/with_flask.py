"""A naive Flask server, as tutorials write it: one forward pass per request, threads of the built-in server."""

import logging

from flask import Flask, request

from benchmarks.serving.servers.classifier import Classifier, Prediction, port

app = Flask(__name__)
classify = Classifier()


@app.post("/predict")
def predict() -> Prediction:
    return classify([request.get_json()["text"]])[0]


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no access log, as for the others
    app.run(host="127.0.0.1", port=port(), threaded=True)
