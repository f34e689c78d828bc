"""A naive FastAPI server: one forward pass per request, in FastAPI's thread pool, under uvicorn with uvloop."""

# mypy: disable-error-code="import-not-found,untyped-decorator"

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.serving.servers.classifier import Classifier, Prediction, port

app = FastAPI()
classify = Classifier()


class Body(BaseModel):
    text: str


@app.post("/predict")
def predict(body: Body) -> Prediction:
    return classify([body.text])[0]


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=port(), log_level="warning")
