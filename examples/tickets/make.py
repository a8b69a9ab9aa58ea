"""Makes tickets.csv and held_out.csv: messages to a shop, and the team that answers them.

    python examples/tickets/make.py

The messages are generated: no person wrote them. Each is put together from an opening, one or two
sentences about its subject and sometimes one about another, with everyday words in many
variants, a typing mistake here and there, and 3 in 100 that were filed with the wrong team: so no
model can be right about all of them.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

HERE = Path(__file__).parent
ROWS, HELD_OUT = 1600, 10
MISFILED, MISTYPED, STRAYS = 0.03, 0.25, 0.2

OPENINGS = (
    "Hello,",
    "Hi there,",
    "Good morning,",
    "Dear team,",
    "To whom it may concern:",
    "",
    "",
    "Hey,",
    "Urgent!",
    "Second message about this:",
    "I am a customer since 2019.",
    "My name is {name}.",
)
NAMES = ("Ana", "Tom", "Yuki", "Priya", "Lars", "Fatima", "Noah", "Zoé")
ENDINGS = ("", "", "Thanks", "Please help.", "Regards, {name}", "Can you check?", "I am waiting for your answer.")
SUBJECTS: dict[str, tuple[str, ...]] = {
    "billing": (
        "I was charged twice for order {n}",
        "the invoice {n} shows the wrong amount",
        "please refund {n} euros",
        "my credit card was declined although it is valid",
        "the discount code did not lower the price",
        "why is there a fee of {n} on my statement",
        "I need an invoice with our VAT number",
        "the payment is pending since days",
        "you took the money but there is no receipt",
    ),
    "delivery": (
        "the parcel {n} has not arrived",
        "tracking says delivered but there is nothing at my door",
        "the box was damaged and wet",
        "can I change the address of order {n}",
        "the courier left it with a neighbour I do not know",
        "half of the items were missing from the package",
        "when will order {n} be shipped",
        "it is late by two weeks",
        "the driver did not ring the bell",
    ),
    "account": (
        "I cannot log in any more",
        "the link to reset my password has expired",
        "please delete my account and all my data",
        "I want to change my email address",
        "somebody signed in from another country",
        "the code by text message never comes",
        "my profile shows another person's name",
        "how do I turn on two-factor login",
        "my user name is already taken",
    ),
    "technical": (
        "the app crashes when I open the basket",
        "the page stays white in my browser",
        "search finds nothing since the update",
        "the pictures do not load on my phone",
        "error {n} appears at checkout",
        "the button does nothing when I click it",
        "notifications arrive three times",
        "the site is very slow tonight",
        "dark mode makes the text unreadable",
    ),
    "product": (
        "does the lamp {n} work with 110 volts",
        "which size should I take if I am between two",
        "is this jacket waterproof",
        "when will the blue one be in stock again",
        "do you sell spare parts for model {n}",
        "can the cover be washed at sixty degrees",
        "what is the difference between model {n} and the new one",
        "is the battery included",
        "how long is the warranty",
    ),
}


def make(folder: Path) -> None:
    """Write both files into ``folder``."""
    source = random.Random(2026)
    rows = [row(source) for _ in range(ROWS + HELD_OUT)]
    for name, content in (("tickets.csv", rows[:ROWS]), ("held_out.csv", rows[ROWS:])):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("message", "team"), *content])


def row(source: random.Random) -> tuple[str, str]:
    """Return a message and its team."""
    team = source.choice(sorted(SUBJECTS))
    sentences = source.sample(SUBJECTS[team], source.choice((1, 1, 2)))
    if source.random() < STRAYS:
        sentences.append("also, " + source.choice(SUBJECTS[source.choice(sorted(SUBJECTS))]))
    message = " ".join([source.choice(OPENINGS), ". ".join(sentences) + ".", source.choice(ENDINGS)]).strip()
    message = message.format(name=source.choice(NAMES), n=source.randint(10, 9999))
    if source.random() < MISTYPED:
        message = mistype(message, source)
    return message, source.choice(sorted(SUBJECTS)) if source.random() < MISFILED else team


def mistype(message: str, source: random.Random) -> str:
    """Swap two neighbouring characters."""
    place = source.randrange(len(message) - 1)
    return message[:place] + message[place + 1] + message[place] + message[place + 2 :]


if __name__ == "__main__":
    make(HERE)
