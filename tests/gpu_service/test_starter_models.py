"""The models in the repository, loaded as the service loads them, reach the accuracy that their cards state."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from gpu_service.inputs.images import decoding
from gpu_service.training import artefacts, digits, everyday, sentiment
from pipeline.formats import text

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
MEGABYTE = 2**20
EVERYDAY_LEAST = 0.9

FILM = {
    "A joy from start to finish.": "POSITIVE",
    "Tedious and badly made.": "NEGATIVE",
    "A dull, boring and badly acted mess.": "NEGATIVE",
    "What a delightful, warm and funny film!": "POSITIVE",
    "I love this product, it works great!": "POSITIVE",
    "Terrible service, would not recommend.": "NEGATIVE",
}

# Written for this test, before any model was tried on them; none is among the generated training sentences.
EVERYDAY_POSITIVE = """
The kettle boils fast, looks smart on the counter and is easy to clean.
Our guide was charming and knew every corner of the old town.
I’ve had these boots for three winters and they’re still comfortable.
Quick delivery, careful packaging, and the lamp is even prettier than in the pictures.
The hotel breakfast was generous and the view from our balcony was stunning.
Customer support answered within minutes and fixed everything. Impressive!
Great value for money, my kids adore it.
The soup was rich and full of flavor, and the waiters were lovely.
This app makes paying bills simple; I use it every day.
Wonderful sound, deep bass and a very comfortable fit.
She cut my hair exactly the way I wanted and was a pleasure to talk to.
A beautiful, sturdy table that was easy to put together.
Honest mechanics, fair prices. I'll be back.
The course is clear, well organized and really fun.
I don't regret buying this bike for a second, it rides beautifully.
Best coffee in the neighborhood, and the cakes are delicious.
The update is a big improvement: faster, cleaner and more reliable.
What a lovely little bookshop, with friendly and clever staff.
It isn't cheap, but it is worth every penny.
The dentist was gentle and kind, and I felt no pain at all.
"""

EVERYDAY_NEGATIVE = """
The zipper broke on the first day and the seller ignores my messages.
Cold food, slow waiters and a dirty table. We won't be back.
The app crashes whenever I try to log in.
Very disappointed: the color is wrong and the fabric feels cheap.
I waited an hour on the phone only to be told they couldn't help.
The room smelled of smoke and the bed was awful.
It’s noisy, slow and it overheats after ten minutes.
Don't waste your money on this vacuum cleaner.
The package arrived late, damaged and with half of the parts missing.
Rude receptionist, and the doctor didn't listen to a word I said.
The battery barely lasts two hours, which makes the laptop useless on a train.
Worst airline I have ever flown with.
The instructions are confusing and the screws do not fit.
They charged me twice and refuse to give a refund.
The pizza was burnt and tasteless.
Sadly the new version is full of bugs and painfully slow.
I wanted to like this blender, but it is poorly made and leaks.
The tour was boring and far too expensive for what you get.
The screen is scratched and the sound is terrible.
Nothing about this phone works properly.
"""


SAMPLE_TEXTS = {
    "praise.txt": "POSITIVE",
    "complaint.txt": "NEGATIVE",
    "from-notepad.txt": "POSITIVE",
    "utf-16.txt": "POSITIVE",
    "latin-1.txt": "NEGATIVE",
    "review.md": "NEGATIVE",
}
SAMPLE_REVIEWS = ["POSITIVE", "NEGATIVE", "POSITIVE", "NEGATIVE"]
DIGIT_NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture(scope="module")
def text_model():
    folder = artefacts.MODELS / "sentiment"
    return AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def image_model():
    folder = artefacts.MODELS / "digits"
    return AutoImageProcessor.from_pretrained(folder), AutoModelForImageClassification.from_pretrained(folder).eval()


def opinions(text_model, texts):
    tokenizer, model = text_model
    with torch.inference_mode():
        logits = model(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt")).logits
    return [model.config.id2label[number] for number in logits.argmax(1).tolist()]


def reading(image_model, picture):
    processor, model = image_model
    with torch.inference_mode():
        logits = model(**processor(picture, return_tensors="pt")).logits
    return model.config.id2label[int(logits.argmax())]


@pytest.mark.parametrize("name", ["sentiment", "digits"])
def test_loads_like_a_hub_model(name):
    auto = AutoModelForSequenceClassification if name == "sentiment" else AutoModelForImageClassification
    model, notes = auto.from_pretrained(artefacts.MODELS / name, output_loading_info=True)
    assert isinstance(model, PreTrainedModel)
    assert not notes["missing_keys"]
    assert not notes["unexpected_keys"]
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_are_a_few_megabytes_together():
    assert sum(file.stat().st_size for file in artefacts.MODELS.rglob("*") if file.is_file()) < 6 * MEGABYTE


@pytest.mark.parametrize("name", ["sentiment", "digits"])
def test_card_states_what_was_measured(name):
    metrics = json.loads((artefacts.MODELS / name / "metrics.json").read_text())
    card = (artefacts.MODELS / name / "README.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| `(\w+)` \| ([\d.,]+) \|", card, re.MULTILINE))
    assert {key: float(value.replace(",", "")) for key, value in stated.items()} == metrics
    assert f"python -m gpu_service.training.{name}" in card


@pytest.mark.parametrize(("sentence", "label"), FILM.items())
def test_opinion_of_a_sentence(text_model, sentence, label):
    assert opinions(text_model, [sentence]) == [label]


@pytest.mark.parametrize(("name", "label"), SAMPLE_TEXTS.items())
def test_opinion_of_a_sample(text_model, name, label):
    assert opinions(text_model, [text.decode((SAMPLES / "texts" / name).read_bytes())]) == [label]


def test_opinions_of_the_sample_table(text_model):
    with (SAMPLES / "tables" / "reviews.csv").open(newline="", encoding="utf-8") as table:
        reviews = [row["review"] for row in csv.DictReader(table)]
    assert opinions(text_model, reviews) == SAMPLE_REVIEWS


def test_opinions_of_everyday_reviews(text_model):
    good, bad = EVERYDAY_POSITIVE.strip().splitlines(), EVERYDAY_NEGATIVE.strip().splitlines()
    predicted = opinions(text_model, good + bad)
    wanted = ["POSITIVE"] * len(good) + ["NEGATIVE"] * len(bad)
    wrong = [review for review, a, b in zip(good + bad, predicted, wanted, strict=True) if a != b]
    assert 1 - len(wrong) / len(wanted) >= EVERYDAY_LEAST, wrong


def test_everyday_reviews_were_not_trained_on():
    generated = {sentence.lower() for sentence, _ in everyday.sentences(sentiment.EVERYDAY, sentiment.SEED)}
    reviews = {review.lower() for review in (EVERYDAY_POSITIVE + EVERYDAY_NEGATIVE).strip().splitlines()}
    assert not generated & reviews


def test_ordinary_writing_reads_like_the_training_text(text_model):
    tokenizer, _ = text_model
    assert (
        tokenizer("It’s “Great”, I don’t mind.")["input_ids"]
        == tokenizer("it 's \" great \" , i do n't mind .")["input_ids"]
    )
    assert tokenizer("It won’t fail!!!")["input_ids"] == tokenizer("it wo n't fail !")["input_ids"]


def test_digits_hold_out_a_fifth_with_the_sample_pictures():
    train, held_out = digits.split()
    shown = {picture.numpy().tobytes() for picture in held_out.images}
    assert len(held_out.labels) == 360
    assert held_out.labels[: digits.CLASSES].tolist() == list(range(digits.CLASSES))
    assert len(train.labels) + len(held_out.labels) == 1797
    assert len(shown & {picture.numpy().tobytes() for picture in train.images}) == 0


@pytest.mark.release
def test_digits_accuracy_on_the_held_out_fifth(image_model):
    _, model = image_model
    metrics = json.loads((artefacts.MODELS / "digits" / "metrics.json").read_text())
    _, held_out = digits.split()
    measured = digits.measure(model, held_out)
    assert measured["accuracy"] == pytest.approx(metrics["accuracy"], abs=0.005)
    assert measured["accuracy"] >= 0.97


@pytest.mark.parametrize("file", sorted((SAMPLES / "images").iterdir()), ids=lambda file: file.name)
def test_reads_a_sample_picture(image_model, file):
    with decoding.decoded(file.read_bytes(), "RGB", None) as image:
        read = reading(image_model, image)
    name = re.match("[a-z]+", file.name).group()
    assert read == str(DIGIT_NAMES.index(name))
