"""Generates everyday opinions about shops, services and apps, whose words film reviews lack."""

from __future__ import annotations

import random

THINGS = """product|service|app|phone|camera|hotel|room|food|restaurant|staff|delivery|laptop|battery|
screen|update|support|team|book|course|website|store|flight|trip|package|headset|keyboard|
coffee|pizza|dress|jacket|driver|seller|doctor|teacher|experience|quality|design|price|software|
game|printer|vacuum|mattress|blender|charger|watch|tablet|router|plumber|bank|ticket|event|
concert|lunch|dinner|breakfast|waiter|car|bike""".replace("\n", "").split("|")

GOOD = """amazing|excellent|fantastic|great|wonderful|perfect|superb|outstanding|awesome|lovely|brilliant|
very good|really good|so good|delicious|friendly and helpful|fast and reliable|comfortable and clean|
well worth the money|easy to use|better than expected|exactly what i needed|top quality|beautiful|impressive|
a pleasure to use|a joy|the best i have ever had|just right|not bad at all|fresh and tasty|polite and quick|
a bargain|solid|flawless|responsive|intuitive|spotless|kind and patient""".replace("\n", "").split("|")

BAD = """terrible|awful|horrible|bad|very bad|really bad|so bad|poor|disappointing|useless|broken|worthless|
rude and slow|dirty and noisy|a waste of money|a waste of time|overpriced|worse than expected|cheap and flimsy|
the worst i have ever had|not good|not worth the money|not what i ordered|never on time|disgusting|cold and bland|
unreliable|unusable|buggy and slow|a nightmare|a scam|a complete disaster|a joke|defective|unacceptable|
faulty|misleading|frustrating|pathetic|stale|no good at all""".replace("\n", "").split("|")

GOOD_CLAIMS = """i love this {0}|i love it|i really like the {0}|works great|it works perfectly|works like a charm|
highly recommended|i would recommend the {0} to anyone|would buy again|i am very happy with the {0}|
i am so pleased|best {0} ever|thank you so much|the {0} exceeded my expectations|five stars|
could not be happier with my {0}|i will definitely come back|the {0} solved my problem|money well spent|
i enjoyed every minute of the {0}|we had a great time|my family loves the {0}|this {0} made my day|
arrived early and works well|no complaints|never had a problem with the {0}|can not fault the {0}|
everything went smoothly|i can not live without this {0}|i am impressed""".replace("\n", "").split("|")

BAD_CLAIMS = """i hate this {0}|i hate it|i really dislike the {0}|does not work|it stopped working after a week|
it broke after two days|would not recommend|i would not recommend the {0} to anyone|never again|avoid this {0}|
i am very unhappy with the {0}|i am so disappointed|worst {0} ever|i want a refund|i want my money back|
the {0} was a letdown|one star|do not buy this {0}|i will never come back|the {0} keeps crashing|
wasted my money on this {0}|i regret buying this {0}|we had a terrible time|nobody answers my calls|
the {0} ruined my day|arrived late and damaged|save your money|stay away|the {0} failed again|
nothing worked|i did not like the {0}|i do not like it|not happy with the {0}|
the {0} is not as good as they say""".replace("\n", "").split("|")

NEUTRAL = """the {0} arrived on tuesday|i bought the {0} last week|the {0} is in the kitchen|it is a {0}|
where is the {0}|the meeting starts at noon|there are two of them|my {0} is blue|we went to the {0} in march|
i have a question about the {0}|this is a {0}|the {0} has three buttons|she opened the {0}|hello|hi there|
ok|test|what time is it|the sky is grey today|please send the {0} to my office|number 12|lorem ipsum|
he works at the {0}|the {0} costs ten euros|read the manual first""".replace("\n", "").split("|")

LINKS = [
    "{0} is {1}",
    "{0} was {1}",
    "the {0} is {1}",
    "the {0} was {1}",
    "this {0} is {1}",
    "my {0} is {1}",
    "{1} {0}",
]
ENDS = ["", "", ".", ".", "!", "!!", "..."]


def _opinion(rng: random.Random, positive: bool) -> str:
    thing = rng.choice(THINGS)
    if rng.random() < 0.5:
        return rng.choice(GOOD_CLAIMS if positive else BAD_CLAIMS).format(thing)
    return rng.choice(LINKS).format(thing, rng.choice(GOOD if positive else BAD))


def _sentence(rng: random.Random, positive: bool) -> str:
    form = rng.random()
    first = _opinion(rng, positive)
    if form < 0.45:
        return first + rng.choice(ENDS)
    if form < 0.8:
        return first + rng.choice([", ", " and ", ". ", "! "]) + _opinion(rng, positive) + rng.choice(ENDS)
    return _opinion(rng, not positive) + rng.choice([" but ", ", but ", " , however "]) + first + rng.choice(ENDS)


def sentences(count: int, seed: int) -> list[tuple[str, float]]:
    """(text, probability of positive): two in five are positive, two negative, one neutral."""
    rng = random.Random(seed)  # noqa: S311
    pairs: list[tuple[str, float]] = []
    for at in range(count):
        if at % 5 == 4:
            pairs.append((rng.choice(NEUTRAL).format(rng.choice(THINGS)) + rng.choice(ENDS), 0.5))
        else:
            pairs.append((_sentence(rng, at % 2 == 0), float(at % 2 == 0)))
    return pairs
