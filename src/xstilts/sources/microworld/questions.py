"""Rows of the question tasks: spans in a short context, and choices that need knowledge of the world."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from xstilts.sources.microworld.edits import forget
from xstilts.sources.microworld.languages import get_language
from xstilts.sources.microworld.lexicon import KINDS, QUESTIONS, VERBS, kind_of, members
from xstilts.sources.microworld.meaning import Clause, Phrase, Sentence
from xstilts.sources.microworld.realise import join, realise, say, say_phrase
from xstilts.sources.microworld.sampling import CAPTIONS, REPORTS, Genre, clause, described
from xstilts.tasks.rows import Row

_ROLES = {"agent": "AGENT", "patient": "PATIENT", "place": "PLACE", "tool": "TOOL", "time": "TIME"}
_SPOKEN = replace(CAPTIONS, names=0.3, time=0.6, tool=0.7, copular=0.0, intransitive=0.3, counts=0.2)


@dataclass(frozen=True)
class Quiz:
    """A context of a few clauses and a question about one slot of one of them."""

    context: tuple[Clause, ...]
    about: int
    slot: str
    question: Clause


def _ask(random: Random, asked: Clause, slot: str) -> Clause:
    """The clause with a question word in the slot, and some of what identifies nothing left out."""
    kept = forget(random, asked, 0.6)
    if slot == "time":
        return replace(kept, time=QUESTIONS["time"])
    if slot == "place":
        return replace(kept, place=Phrase((QUESTIONS["place"],)), relation=asked.relation)
    phrase: Phrase = getattr(asked, slot)
    person = phrase.entity == "PER" or kind_of(phrase.noun) == "person"
    return replace(kept, **{slot: Phrase((QUESTIONS["person" if person else "other"],))})  # type: ignore[arg-type]


def _distinct(clauses: tuple[Clause, ...]) -> bool:
    """Whether no two clauses share a participant, so that a question fits one clause alone."""
    heads = [phrase.head for c in clauses for phrase in (c.agent, c.patient) if phrase is not None]
    return len(set(heads)) == len(heads)


def quiz_meanings(name: str, random: Random, count: int) -> list[Quiz]:
    """Contexts and questions; the target asks for participants and places, the intermediate for adjuncts too."""
    target = name == "mw_questions"
    genre: Genre = replace(REPORTS, intransitive=0.0, place=0.5, time=0.2, tool=0.0) if target else _SPOKEN
    slots = ("agent", "patient", "place") if target else ("agent", "patient", "place", "tool", "time")
    quizzes: list[Quiz] = []
    while len(quizzes) < count:
        first = clause(random, genre)
        # a second clause with the same verb makes the verb alone too little to find the answer by
        second = clause(random, genre, first.verb if random.random() < 0.5 else "")
        clauses = [first, second] if random.random() < 0.5 else [first, second, clause(random, genre)]
        context = tuple(random.sample(clauses, len(clauses)))
        about, slot = random.randrange(len(context)), random.choice(slots)
        asked: Phrase | str | None = getattr(context[about], slot)
        if asked and _distinct(context) and not any(c.negated for c in context):
            quizzes.append(Quiz(context, about, slot, _ask(random, context[about], slot)))
    return quizzes


def quiz_row(number: str, quiz: Quiz, code: str) -> Row:
    """The quiz as a row of shape `span` in a language; the answer is the asked phrase as the context has it."""
    gap = " " if get_language(code).spaces else ""
    context, start, answer = "", 0, ""
    for index, said in enumerate(quiz.context):
        tokens = realise(Sentence((said,)), code)
        context += gap if context else ""
        if index == quiz.about:
            answer = answer_text(said, quiz.slot, code)
            role = _ROLES[quiz.slot]
            first = min(i for i, token in enumerate(tokens) if token.role == role)
            # modifiers of the phrase stand before its head: the phrase begins where its words do
            forms = [token.form for token in tokens]
            begin = next(i for i in range(first, -1, -1) if join(tokens[i : i + len(forms)], code).startswith(answer))
            start = len(context) + len(join(tokens[:begin], code)) + (len(gap) if begin else 0)
        context += join(tokens, code)
    return {"id": number, "question": say(Sentence((quiz.question,), question=True), code), "context": context,
            "answers": [answer], "starts": [start]}  # fmt: skip


def answer_text(said: Clause, slot: str, code: str) -> str:
    """The asked phrase (or time word) as it stands in the clause."""
    asked: Phrase | str = getattr(said, slot)
    if isinstance(asked, str):
        return next(t.form for t in realise(Sentence((said,)), code) if t.role == "TIME")
    return say_phrase(asked, _ROLES[slot], code)


@dataclass(frozen=True)
class Choice:
    """A question and four nouns of which the world's facts allow one."""

    question: Clause
    role: str
    options: tuple[str, ...]
    label: int


def choice_meanings(random: Random, count: int) -> list[Choice]:
    """Questions for the tool, the place or the object that fits an event; the other three never do."""
    choices: list[Choice] = []
    while len(choices) < count:
        verb, slot = random.choice(tuple(VERBS)), random.choice(("tool", "place", "patient"))
        facts = VERBS[verb]
        fitting = {"tool": facts.tools, "place": facts.places, "patient": members(facts.patients)}[slot]
        pool = KINDS["tool"] if slot == "tool" else KINDS["place"] if slot == "place" else _objects()
        wrong = [noun for noun in pool if noun not in fitting]
        if not fitting or len(wrong) < 3:
            continue
        label, options = random.randrange(4), random.sample(wrong, 3)
        options.insert(label, random.choice(fitting))
        agent = described(random, random.choice(members(facts.agents)), CAPTIONS)
        patient = Phrase((random.choice(members(facts.patients)),)) if facts.patients else None
        question = Clause(verb, agent, patient)
        if slot == "place":
            question = replace(question, relation="in", place=Phrase((QUESTIONS["place"],)))
        else:
            question = replace(question, **{slot: Phrase((QUESTIONS["other"],))})  # type: ignore[arg-type]
        choices.append(Choice(question, _ROLES[slot], tuple(options), label))
    return choices


def _objects() -> tuple[str, ...]:
    return members(("animal", "food", "tool", "vehicle", "thing"))


def choice_row(number: str, choice: Choice, code: str) -> Row:
    """The choice as a row of shape `choice` in a language."""
    prompt = say(Sentence((choice.question,), question=True), code)
    texts = [say_phrase(Phrase((noun,)), "PLACE", code) for noun in choice.options]
    return {"id": number, "prompt": prompt, "choices": texts, "label": choice.label}
