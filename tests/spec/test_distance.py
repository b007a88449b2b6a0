"""Typological distance: the table has a source and can be derived again; the line is the textbook's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_fixture import MICRO, PLANTED, Target, contributions
from scipy import stats
from tests.conftest import REPOSITORY

from xstilts.analysis.distance import LEAST, distances, gain_against_distance
from xstilts.analysis.gains import COLUMNS, gains
from xstilts.errors import UserError
from xstilts.languages import LANGUAGES, XTREME
from xstilts.sources.microworld.languages import CODES
from xstilts.sources.microworld.languages import distance as planted_distance

REFERENCE = Path(REPOSITORY.parent / "shared" / "reference" / "syntax_knn_similarity_to_eng.csv")
FORTY = distances(LANGUAGES)


def gained(effect: dict[tuple[str, str], float], **changes: object) -> pd.DataFrame:
    """Rows as `gains` gives them: {(target, language): gain} of one intermediate."""
    rows = [
        {"intermediate": "a", "category": "NLI", "control": "", "target": target, "level": "semantic",
         "shape": "classify", "primary": True, "perturbation": "clean", "language": language, "gain": gain,
         "se": 1.0, "df": 9.0, **changes}
        for (target, language), gain in effect.items()
    ]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def test_every_language_known_has_a_similarity_and_english_is_like_itself() -> None:
    """No language of a study silently lacks its place on the axis."""
    assert FORTY["syntax"].between(0, 1).all() and FORTY["script"].ne("").all()
    assert FORTY.set_index("language")["syntax"]["en"] == 1.0
    assert FORTY.query("language != 'en'")["syntax"].max() < 1


def test_sides_and_orders_agree_with_grammar() -> None:
    """Languages with the verb last have postpositions, but for Persian (Greenberg's universal 4)."""
    known = FORTY[(FORTY["order"] == "SOV") & FORTY["adposition"].ne("")]
    assert len(known) > 8
    assert known.set_index("language")["adposition"].drop("fa").eq("after").all()


def test_the_table_says_where_it_is_from_and_under_which_licence() -> None:
    """Whoever finds the file alone can tell whose data it is."""
    head = (REPOSITORY / "src/xstilts/analysis/typology.csv").read_text(encoding="utf-8")[:900]
    assert "URIEL" in head and "E17-2002" in head and "CC BY-SA 4.0" in head


@pytest.mark.skipif(find_spec("urielplus") is None, reason="urielplus is not installed (pip install urielplus)")
def test_the_table_is_what_urielplus_gives() -> None:
    """The numbers in the package can be derived again from the data they name."""
    from xstilts.analysis.typology import HEADER, derive

    text = (REPOSITORY / "src/xstilts/analysis/typology.csv").read_text(encoding="utf-8")
    assert text == HEADER + derive().to_csv(index=False)


@pytest.mark.skipif(not REFERENCE.is_file(), reason=f"no reference table {REFERENCE}")
def test_similarities_agree_with_those_of_lang2vec() -> None:
    """Filling unknown features by our own nearest neighbours keeps to lang2vec's `syntax_knn`."""
    theirs = pd.read_csv(REFERENCE, keep_default_na=False).set_index("lang")["syntax_knn_cos"].drop("en")
    ours = FORTY.set_index("language")["syntax"][theirs.index]
    assert set(XTREME) - {"en"} <= set(theirs.index)
    assert (ours - theirs).abs().max() < 0.08 and (ours - theirs).abs().mean() < 0.025
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98


def test_generated_languages_have_their_planted_distance() -> None:
    """In the microworld the axis is the truth, not a guess."""
    found = distances(CODES).set_index("language")
    assert found["syntax"].to_dict() == pytest.approx({code: 1 - planted_distance(code) for code in CODES})
    assert found.loc["qac", ["order", "adposition", "script", "source"]].tolist() == [
        "SOV",
        "after",
        "Latn",
        "microworld",
    ]


def test_an_unknown_language_is_refused_and_a_private_one_has_no_place() -> None:
    """A guess at a distance is never made."""
    with pytest.raises(UserError, match="unknown language"):
        distances(["xx"])
    assert distances(["qtz"])["syntax"].isna().all()


def test_the_line_and_its_band_are_least_squares() -> None:
    """Slope, interval and band equal those of a textbook formula computed apart."""
    languages = ["de", "fr", "hi", "ja", "tr", "zh", "ar"]
    rng = np.random.default_rng(1)
    effect = {("t", language): rng.normal() for language in languages}
    found = gain_against_distance(gained(effect), FORTY)
    x = FORTY.set_index("language")["syntax"][languages].to_numpy()
    y = np.array(list(effect.values()))
    design = np.column_stack([np.ones_like(x), x])
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ y
    s2 = ((y - design @ beta) ** 2).sum() / (len(x) - 2)
    t = stats.t.ppf(0.975, len(x) - 2)
    (trend,) = found.trend.to_dict("records")
    assert trend["slope"] == pytest.approx(0.1 * beta[1])
    assert trend["high"] - trend["slope"] == pytest.approx(0.1 * t * np.sqrt(s2 * inverse[1, 1]))
    assert trend["rho"] == pytest.approx(stats.spearmanr(x, y).statistic) and trend["n"] == len(languages)
    for row in (found.fit.iloc[0], found.fit.iloc[7]):
        at = np.array([1, row["similarity"]])
        assert row["gain"] == pytest.approx(at @ beta)
        assert row["high"] - row["gain"] == pytest.approx(t * np.sqrt(s2 * at @ inverse @ at))


def test_a_language_is_not_moved_by_the_targets_it_happens_to_have() -> None:
    """With gain = target + language, points lie on the language effects however targets and languages meet."""
    of_target, of_language = {"t": 0.0, "u": 10.0}, {"de": 1.0, "fr": 2.0, "hi": 3.0, "ja": 4.0, "tr": 5.0}
    pairs = [("t", x) for x in ("de", "fr", "hi", "ja")] + [("u", x) for x in ("hi", "ja", "tr")]
    found = gain_against_distance(gained({(t, x): of_target[t] + of_language[x] for t, x in pairs}), FORTY)
    points = found.points.set_index("language")["gain"]
    assert points.to_dict() == pytest.approx({x: e + 5.0 for x, e in of_language.items()})


def test_chance_alone_gives_a_slope_one_time_in_twenty() -> None:
    """The interval of the slope holds the true slope, 0, in about 95 % of data without any."""
    rng = np.random.default_rng(0)
    languages = [x for x in XTREME if x != "en"][:12]
    held = 0
    for _ in range(100):
        rows = gained({("t", language): gain for language, gain in zip(languages, rng.normal(size=12), strict=True)})
        (trend,) = gain_against_distance(rows, FORTY, by="intermediate").trend.to_dict("records")
        held += trend["low"] <= 0 <= trend["high"]
    assert 88 <= held <= 99


def test_too_few_languages_give_points_and_no_line() -> None:
    """A line through three languages is not drawn."""
    few = gain_against_distance(gained({("t", x): 1.0 for x in ("de", "fr", "hi")[: LEAST - 1]}), FORTY)
    assert len(few.points) == LEAST - 1 and few.fit.empty and few.trend["slope"].isna().all()
    assert gain_against_distance(gained({}), FORTY).points.empty


def test_source_controls_and_other_metrics_are_no_points() -> None:
    """What is drawn is zero-shot gain on the primary metric by arms that compete."""
    targets = (*MICRO[:1], Target("r", "R", "semantic", "retrieve", ("accuracy", "mrr"), CODES[1:], 0.5))
    table = gains(contributions(PLANTED, targets, examples=40), draws=20)
    found = gain_against_distance(table, distances(CODES))
    assert set(found.points["language"]) == set(CODES) - {"en"} and (found.points["n"] == 1).all()
    assert set(found.points["group"]) == {"syntactic", "retrieval"} and "" not in set(found.points["name"])
    assert (found.points["low"] <= found.points["gain"]).all()


def test_clean_and_robust_gains_have_a_line_each() -> None:
    """Single settings are not drawn: their mean is."""
    languages = ("de", "fr", "hi", "ja")
    frames = [gained({("t", x): gain for x in languages}, perturbation=p)
              for p, gain in (("clean", 1.0), ("swap@0.1", 2.0), ("robust", 3.0))]  # fmt: skip
    found = gain_against_distance(pd.concat(frames), FORTY).points.set_index("setting")["gain"]
    assert found["clean"].to_numpy() == pytest.approx(1.0) and found["robust"].to_numpy() == pytest.approx(3.0)
    assert set(found.index) == {"clean", "robust"}


@pytest.mark.parametrize("n", [6, 12])
def test_rank_correlation_has_the_p_value_of_shuffling(n: int) -> None:
    """With few languages and many, p is close to scipy's test by permutation."""
    languages = [x for x in XTREME if x != "en"][:n]
    effect = {("t", x): value for x, value in zip(languages, np.random.default_rng(5).normal(size=n), strict=True)}
    (trend,) = gain_against_distance(gained(effect), FORTY).trend.to_dict("records")
    x, y = FORTY.set_index("language")["syntax"][languages].to_numpy(), np.array(list(effect.values()))
    wanted = stats.permutation_test(
        (x,), lambda shuffled: stats.spearmanr(shuffled, y).statistic, permutation_type="pairings", n_resamples=1000,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert trend["rho"] == pytest.approx(wanted.statistic)
    assert trend["p_rho"] == pytest.approx(wanted.pvalue, abs=0.06)
