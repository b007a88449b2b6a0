"""What `xstilts bench` measures, and how a plan reckons with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import mini

from xstilts.bench import measure, processes, units
from xstilts.bench.screen import meaning, print_bench
from xstilts.bench.subject import ALIKE, LEAST, SORTS, Subject, subject_of
from xstilts.cost.estimate import Rate, durations, find_rate, time_left
from xstilts.cost.workload import FORWARD, TRAINING, Load, loads
from xstilts.errors import UserError
from xstilts.models.size import KNOWN
from xstilts.plan import plan
from xstilts.store import Store

BODY = 3 * 12 * 128**2
"""Body parameters of the microworld's encoder."""


# -- what is measured -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*KNOWN, "FacebookAI/xlm-roberta-large", "microworld"])
def test_rows_are_such_as_the_encoder_has_positions_for(name: str) -> None:
    """Of every known encoder the longest row that is drawn has positions, two of which XLM-R leaves out."""
    subject = subject_of(name)
    assert [sort.shape for sort in subject.sorts] == list(SORTS)
    longest = max(round(sort.pieces * (1 + ALIKE)) for sort in subject.sorts)
    assert longest <= subject.config["max_position_embeddings"] - 2


def test_a_study_is_measured_with_its_own_numbers() -> None:
    """Batch, length and arithmetic are those of the study's preset and settings, the encoder is its own."""
    study = mini(preset="paper", precision="float32", settings={"classify": {"batch_size": 7, "max_length": 20}})
    subject = subject_of(study=study)
    found = {sort.shape: (sort.batch, sort.pieces) for sort in subject.sorts}
    assert subject.precision == "float32" and subject.config["hidden_size"] == 128
    assert found["classify"] == (7, 20) and found["span"][0] == 16 and found["tag"] == (32, 30)


def test_an_encoder_of_unknown_shape_is_refused(tmp_path: Path) -> None:
    """A name that is neither a folder nor known is one line with the nearest one; so is a config without a size."""
    with pytest.raises(UserError, match="did you mean 'xlm-roberta-base'"):
        subject_of("xlm-robertabase")
    (tmp_path / "config.json").write_text('{"hidden_size": 12}')
    with pytest.raises(UserError, match="config.json: does not say how large the encoder is"):
        subject_of(str(tmp_path))
    subject = subject_of("microworld")
    strange = replace(subject, config={**subject.config, "model_type": "no-such"}, layers=3)
    with pytest.raises(UserError, match="no encoder can be made as microworld is"):
        units.passes(strange)


@given(st.floats(1e6, 1e18), st.floats(1, 1000), st.floats(1e6, 1e12), st.sampled_from(sorted(KNOWN)))
def test_more_time_and_memory_never_measure_less(operations: float, times: float, memory: float, name: str) -> None:
    """Layers are between three and the encoder's; what exceeds what there is room for has the least of them."""
    subject = subject_of(name)
    less, more = subject.within(operations, memory), subject.within(operations * times, memory * times)
    assert LEAST <= less.layers <= more.layers <= subject.depth and len(less.sorts) <= len(more.sorts)
    assert less.layers == LEAST or (less.operations <= operations and less.bytes <= memory)


def test_a_part_of_the_layers_stands_for_all() -> None:
    """Twelve layers take four times as long as three where all pieces are read; where first pieces are, the last layer
    counts a sixth: keys and values, a sixth of its matrices at the usual inner width."""
    subject = replace(subject_of("xlm-roberta-base"), layers=3)
    assert units.scale(subject, "tag") == pytest.approx(4)
    assert units.scale(subject, "classify") == pytest.approx((11 + 1 / 6) / (2 + 1 / 6))
    assert units.scale(replace(subject, layers=12), "classify") == 1
    other = replace(subject_of("mdeberta-v3-base"), layers=3)
    assert units.scale(other, "classify") == pytest.approx(4), "of an encoder that is run whole"


@pytest.fixture(scope="module")
def made() -> tuple[Subject, dict[str, units.Unit]]:
    """The microworld's encoder in full, and its units."""
    subject = subject_of("microworld")
    subject = replace(subject, layers=subject.depth, precision="float32")
    units.facts(subject.precision)
    return subject, {**units.products(subject), **units.passes(subject)}


def test_a_unit_tells_how_much_it_did(made: tuple[Subject, dict[str, units.Unit]]) -> None:
    """Steps and predictions count the pieces of a batch, within the share by which rows differ; products count two
    operations for each number of both matrices that meet."""
    subject, known = made
    assert known["matrix float32"]() == 2 * 32 * 50 * 128 * 512
    for sort in subject.sorts:
        for kind, rows in (("training", sort.batch), ("prediction", 8192 // sort.pieces)):
            assert known[f"{kind} {sort.shape}"]() == pytest.approx(rows * sort.pieces, rel=2 * ALIKE), (kind, sort)


def test_a_training_unit_is_an_optimiser_step(
    made: tuple[Subject, dict[str, units.Unit]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes through the gradient of the training loop, once, with an encoder in training; a prediction does not."""
    _, known = made
    asked: list[bool] = []
    gradient: Callable[..., float] = units.gradient
    monkeypatch.setattr(
        units, "gradient", lambda encoder, *a, **k: asked.append(encoder.training) or gradient(encoder, *a, **k)
    )
    known["prediction span"]()
    known["training span"]()
    known["training classify"]()
    assert asked == [True, True]


# -- rounds -----------------------------------------------------------------------------------------------------


class Clock:
    """A time in which every answer of the processes takes `each` seconds."""

    def __init__(self, each: float) -> None:
        self.now, self.each, self.asked = 0.0, each, list[Any]()

    def monotonic(self) -> float:
        return self.now

    def ask(self, pipes: list[Any], what: Any) -> list[float]:
        self.now += self.each
        self.asked.append(what)
        return [1.0 for _ in pipes]


@given(st.floats(0.01, 60), st.floats(1, 200), st.integers(1, 4))
@settings(max_examples=50)
def test_no_round_is_begun_that_would_end_too_late(each: float, seconds: float, count: int) -> None:
    """Whatever a unit takes: one round at least, five at most, and the time is not exceeded by more of them."""
    clock, subject = Clock(each), subject_of("xlm-roberta-base")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "time", clock)
        patch.setattr(measure, "ask", clock.ask)
        one, together = measure._rounds([SimpleNamespace()] * count, subject, seconds, None, lambda what: None)  # type: ignore[list-item]
    rounds = len(one["training classify"])
    assert {len(rates) for rates in (*one.values(), *together.values())} == {rounds} and 1 <= rounds <= measure.ROUNDS
    assert rounds == 1 or clock.now <= seconds + 1e-6
    assert bool(together) == (count > 1)


def test_processes_that_die_or_fail_end_the_measurement() -> None:
    """One that was killed is said to have had no memory; one that met a person's mistake raises that very error."""
    subject = subject_of("microworld")
    with processes.processes(subject) as pipes:
        assert all("one thread of" in processes.hear(pipe)["device"] for pipe in pipes)
        pipes[0].send(replace(subject, config={**subject.config, "model_type": "no-such"}, layers=3))
        with pytest.raises(UserError, match="no encoder can be made"):
            processes.hear(pipes[0])
        with pytest.raises(UserError, match="a process was killed"):
            processes.hear(pipes[0])


# -- what a plan makes of it ------------------------------------------------------------------------------------


def found(count: int = 2) -> dict[str, Any]:
    """Figures of the microworld's encoder: a process among two does 0.8 times what it does alone."""
    subject = subject_of("microworld")
    subject = replace(subject, layers=subject.depth)
    one = {"matrix float32": [1e9, 1e9, 1e9], "matrix bfloat16": [2e9, 2e9, 2e9], "disk written": [1e6, 1e6, 1e6]}
    one |= {
        f"{kind} {sort.shape}": [900.0, 1000.0, 1200.0] for kind in ("training", "prediction") for sort in subject.sorts
    }
    together = {name: [1.6 * rate for rate in one[name]] for name in one if "classify" in name or "matrix" in name}
    scales = {sort.shape: 1.0 for sort in subject.sorts}
    figures = measure._figures(subject, "float32", scales, one, together if count > 1 else {}, count)
    return {"device": "a thing", "accelerator": False, "memory": 8e9, "precision": "float32", "processes": count,
            "rounds": 3, **figures}  # fmt: skip


def test_a_plan_reckons_with_a_process_among_all() -> None:
    """Rates of a plan are those of one process, less what it loses where all are at work: here a fifth."""
    for count, kept in ((2, 0.8), (1, 1.0)):
        figures = found(count)
        assert figures["flops"] == pytest.approx(kept * TRAINING * BODY * 1000)
        assert all(flops == pytest.approx(kept * FORWARD * BODY * 1000) for _, flops in figures["rates"]["prediction"])
        assert figures["training"]["span"]["flops"] == pytest.approx(TRAINING * BODY * 1000)


def test_what_is_written_is_what_a_plan_reads(tmp_path: Path) -> None:
    """The file that `bench` writes is measured for a plan of that encoder, and whole: nothing else is left."""
    graph, store = plan(mini()), Store(tmp_path).open()
    path = measure.write(found(), store)
    assert list(tmp_path.iterdir()) == [path] and json.loads(path.read_text()) == found()
    rate = find_rate(graph, store)
    assert rate.measured and rate.how == "measured on a thing in float32 with xstilts bench, 2 processes at once"
    assert rate.prediction == tuple(map(tuple, found()["rates"]["prediction"]))
    assert rate == find_rate(graph, Store(tmp_path / "none"), found=found())


@given(st.floats(1, 1000))
def test_predictions_go_by_their_own_rate(times: float) -> None:
    """A machine that predicts so many times faster takes as long for training."""
    graph = plan(mini())
    work = loads(graph, Store(Path("/nowhere"))).values()
    slow, fast = (durations(graph, work, Rate(1e9, True, "", prediction=((50, 1e9 * n),))) for n in (1, times))
    assert fast["training"] == slow["training"] and fast["prediction"] == pytest.approx(slow["prediction"] / times)


@given(st.floats(1, 600), st.lists(st.tuples(st.integers(5, 500), st.floats(1e8, 1e15)), min_size=1, max_size=4))
def test_rows_between_two_lengths_take_a_time_between(length: float, measured: list[tuple[int, float]]) -> None:
    """At a measured length the rate is the measured one, beyond the last ones theirs, between two none but a rate
    between theirs."""
    speeds = tuple(sorted({pieces: (float(pieces), flops) for pieces, flops in measured}.values()))
    rate = Rate(1.0, True, "", training=speeds)

    def at(pieces: float) -> float:
        return TRAINING * BODY * pieces / rate.seconds(Load(1, pieces=pieces, passes=TRAINING), BODY)["training"]

    for pieces, flops in speeds:
        assert at(pieces) == pytest.approx(flops)
    around = [flops for pieces, flops in speeds if pieces <= length][-1:] + [f for p, f in speeds if p >= length][:1]
    assert min(around) * (1 - 1e-9) <= at(length) <= max(around) * (1 + 1e-9)


def test_the_last_line_is_the_hours_of_a_fine_tuning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three epochs of MNLI's 392,702 pairs of 50 pieces, at 800 pieces a second in each of two processes; the table has
    median, lowest and highest."""
    monkeypatch.setenv("COLUMNS", "80")
    sentence, seconds = meaning(found(), None, Store(Path("/nowhere")))
    assert seconds == pytest.approx(3 * 392_702 * 50 / 800)
    print_bench(found(), "there", sentence)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "written to there" and "(392,702 pairs, 3 epochs) takes about 20.5 h, and 2" in lines[-1]
    assert any("1 (0.9 to 1.2)" in line and "1.6 (1.44 to 1.92)" in line for line in lines)


def test_with_a_study_the_last_line_is_its_hours() -> None:
    """What is left of the plan, and the same by as many steps at a time as there are processes."""
    graph = plan(mini())
    sentence, seconds = meaning(found(), graph, Store(Path("/nowhere")))
    left = time_left(graph, Store(Path("/nowhere")), found=found())
    assert seconds == left.seconds and left.measured and "xstilts bench" in left.how
    assert sentence.startswith("mini: about") and "with 2 steps at a time" in sentence
