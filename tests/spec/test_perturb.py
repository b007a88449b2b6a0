"""Perturbations of texts: repeatable, at the rate asked for, and never through the middle of a character."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from xstilts.errors import UserError
from xstilts.languages import LANGUAGES
from xstilts.perturb import PERTURBATIONS, applies, get_perturbation, perturb_draft, perturb_text
from xstilts.perturb.rate import Draft, distance, realised, size
from xstilts.perturb.tables import confusions, homoglyphs, jamo_changed, keys, layout_of
from xstilts.perturb.units import Change, clusters, is_space, split, words

NAMES = sorted(name for name in PERTURBATIONS.targets() if not get_perturbation(name).needs)
CHARACTERS = [name for name in NAMES if get_perturbation(name).unit == "character"]
SAMPLES = {
    "en": "The quick brown fox jumps over the lazy dog, twice a day.",
    "vi": "Tôi đã đi học ở trường Nguyễn Huệ từ năm ngoái.",
    "tr": "İstanbul'da ılık bir sabah, çay içtik ve güldük.",
    "ru": "Съешь ещё этих мягких французских булок, да выпей чаю.",
    "el": "Η γρήγορη καφετιά αλεπού πηδάει πάνω από το σκύλο.",
    "ar": "ذهب الولد إلى المدرسة في الصباح الباكر، ثم عاد.",
    "he": "הילד הלך לבית הספר בבוקר ואחר כך חזר הביתה.",
    "hi": "मैं स्कूल जाता हूँ और हर दिन पढ़ता हूँ।",
    "th": "แม้ว่าการเปลี่ยนไปใช้ระบบดิจิตัลเป็นสิ่งที่ไม่ดี",
    "ko": "나는 학교에 가서 친구를 만나고 집에 돌아왔다",
    "ja": "これは不快感を示す住民がいましたが、大丈夫です。",
    "zh": "我在韩国留学的时候，有一天去了他的家里看书。",
}
odd = st.text(st.sampled_from("aéZß ́‍🇩🇪👩👧 \t\r\n각각क्षािกำ้เन日がｶﾞ,.א"), max_size=40)
sentence = st.one_of(st.sampled_from(list(SAMPLES.values())), odd)
rates = st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0])


@settings(deadline=None, max_examples=40)
@given(sentence, st.sampled_from(sorted(SAMPLES)), st.sampled_from(NAMES), rates, st.integers(0, 5))
def test_what_is_done_depends_on_the_arguments_alone(text, language, name, rate, seed):
    """The same text, language, name, rate, seed, row and field give the same result."""
    first, second = (perturb_text(text, language, name, rate, seed, row="7", field="text_a") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("changed", [{"seed": 2}, {"row": "8"}, {"field": "text_b"}])
def test_each_text_of_a_data_set_is_drawn_for_itself(changed):
    """Another seed, row or field gives other edits."""
    given = {"seed": 1, "row": "7", "field": "text_a"}
    texts = {
        perturb_text(SAMPLES["en"] * 3, "en", "delete", 0.2, **each).text for each in (given, {**given, **changed})
    }
    assert len(texts) == 2


@settings(deadline=None, max_examples=40)
@given(sentence, st.sampled_from(sorted(SAMPLES)), st.sampled_from(NAMES))
def test_rate_zero_leaves_the_text_untouched(text, language, name):
    """Not a code point changes, and nothing is reached."""
    done = perturb_text(text, language, name, 0, 1)
    assert (done.text, done.reached) == (text, 0)


@settings(deadline=None, max_examples=100)
@given(sentence, st.sampled_from(sorted(SAMPLES)), st.sampled_from(NAMES), rates, st.integers(0, 99))
def test_grapheme_clusters_are_never_split_or_joined(text, language, name, rate, seed):
    """The clusters of the result are those of the changed units, one for one: untouched ones are there, in order."""
    perturbation = get_perturbation(name)
    units = split(text, perturbation.unit)
    draft = Draft(units, [False] * len(units), [0] * len(units))
    changes, _ = perturb_draft(draft, language, perturbation, rate, seed, "", "")
    assert clusters("".join(draft.units())) == [c for unit in draft.units() for c in clusters(unit)]
    touched = {i for change in changes for i in range(change.start, change.stop)}
    assert all(draft.slots[i] == (unit,) for i, unit in enumerate(units) if i not in touched)


@pytest.mark.parametrize("language", sorted(SAMPLES))
@pytest.mark.parametrize("name", NAMES)
def test_the_rate_is_reached_within_one_edit_where_there_is_room(name, language):
    """A swap or a change of places is two edits, any other change one; a text without room is changed all it can be."""
    one = 2 if name in ("swap", "word_shuffle") else 1
    for seed in range(5):
        most = perturb_text(SAMPLES[language], language, name, 1, seed)
        done = perturb_text(SAMPLES[language], language, name, 0.1, seed)
        # a pair that changes places blocks its neighbours, so the most that is possible varies with the order
        assert done.edits < 0.1 * done.units + one
        assert done.edits > min(0.1 * done.units, most.edits) - (one if most.edits >= 0.1 * done.units else 2 * one)


@settings(deadline=None, max_examples=40)
@given(sentence, st.sampled_from(sorted(SAMPLES)), st.sampled_from(CHARACTERS), rates)
def test_the_rate_of_characters_is_what_a_reader_of_both_texts_would_measure(text, language, name, rate):
    """The reached rate is that of the two texts alone."""
    done = perturb_text(text, language, name, rate, 3)
    assert realised(text, done.text, "character").rate == done.reached


@settings(deadline=None, max_examples=40)
@given(odd)
def test_units_joined_are_the_text(text):
    """Neither way of cutting a text loses anything."""
    assert "".join(words(text)) == text == "".join(clusters(text))


@settings(deadline=None, max_examples=40)
@given(sentence, st.sampled_from(sorted(SAMPLES)), st.sampled_from(NAMES))
def test_no_text_becomes_empty(text, language, name):
    """At least one unit that is not white space is left, if there was one."""
    unit = get_perturbation(name).unit
    assert bool(size(split(perturb_text(text, language, name, 1, 1).text, unit))) == bool(size(split(text, unit)))


def test_scripts_without_spaces_have_words_too():
    """Runs of clusters stand for words; other scripts in the same text stay whole."""
    assert words("iPhone手机很贵 ok") == ["iPhone", "手机", "很贵", " ", "ok"]
    assert words("แม้ว่าดี") == ["แม้ว่", "าดี"]


@pytest.mark.parametrize(
    "before, after, unit, edits",
    [("abc", "abxc", "character", 1), ("abc", "acb", "character", 2), ("a b c", "abc", "character", 2),
     ("one two three", "one three", "word", 1), ("one two", "two one", "word", 2), ("กำแพง", "กแพง", "character", 1)],
)  # fmt: skip
def test_distance_is_levenshteins(before, after, unit, edits):
    """Over clusters, white space included, or over words."""
    assert distance(split(before, unit), split(after, unit), unit) == edits


def test_one_insertion_is_one_edit_wherever_it_is():
    """A comparison position by position would find everything after it changed."""
    assert realised("one two three four", "zero one two three four", "word").rate == 0.25
    assert Levenshtein.distance("abcdefgh", "xabcdefgh") == realised("abcdefgh", "xabcdefgh", "character").edits == 1


@pytest.mark.parametrize(
    "name, no, yes",
    [("case", "ar bn hi ja ka ko th zh", "en el ru tr"), ("spaces", "ja my th zh", "en ko vi"),
     ("keyboard", "zh", "en th ko hi ja ru"), ("homoglyph", "ar hi ko th zh", "de el ru"),
     ("diacritics", "en hi ja ko zh sw", "ar fr th vi"), ("confusion", "en ru th", "ja ko zh")],
)  # fmt: skip
def test_a_perturbation_says_where_it_does_not_apply(name, no, yes):
    """There a text stays as it is and the rate reached is 0, whatever else is in it; elsewhere it changes."""
    for language in no.split():
        done = perturb_text(SAMPLES.get(language, "") + SAMPLES["vi"], language, name, 0.5, 1)
        assert not applies(name, language) and done.reached == 0
    assert all(applies(name, language) for language in yes.split())
    assert all(perturb_text(SAMPLES[code], code, name, 0.5, 1).edits for code in yes.split() if code in SAMPLES)


def test_case_follows_turkish():
    """Dotted and dotless i keep their dots."""
    assert perturb_text("iI", "tr", "case", 1, 1).text == "İı"
    assert perturb_text("iI", "en", "case", 1, 1).text == "Ii"


def test_diacritics_are_lost_and_letters_stay():
    """Also those that Unicode does not decompose; й is a letter of its own."""
    assert perturb_text("Đặng Łódź söß", "vi", "diacritics", 1, 1).text == "Dang Lodz soß"
    assert perturb_text("ещё йод", "ru", "diacritics", 1, 1).text == "еще йод"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_but_chinese_has_a_keyboard(language):
    """Neighbours go both ways, and no key is its own."""
    if language == "zh":
        assert not layout_of(language)
        return
    table = keys(layout_of(language))
    assert all(key not in others and all(key in table[other] for other in others) for key, others in table.items())


def test_neighbours_are_the_keys_around():
    """Six in the middle of a keyboard."""
    assert set(keys("us")["g"]) == set("tyfhvb")
    assert set(keys("de")["g"]) == set("tzfhvb")


def test_a_syllable_changes_by_one_jamo():
    """ㄱ stands beside ㄷ and ㅅ on the keyboard of two sets; a doubled consonant is on its own key with shift."""
    assert {"더", "서", "꺼"} <= set(jamo_changed("거", keys("ko")))
    assert jamo_changed("a", keys("ko")) == []


@pytest.mark.parametrize("table", [homoglyphs(), confusions("zh"), confusions("ja"), confusions("ko")])
def test_confusions_are_mutual(table):
    """Whatever is taken for another can be what the other is taken for."""
    assert table and all(key in table[other] and key != other for key, others in table.items() for other in others)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_is_a_share(rate):
    """10 for ten per cent is refused."""
    with pytest.raises(UserError, match="between 0 and 1"):
        perturb_text("text", "en", "delete", rate, 1)


def test_a_misspelt_name_is_refused_with_the_nearest():
    """As everywhere."""
    with pytest.raises(UserError, match="did you mean 'keyboard'"):
        perturb_text("text", "en", "keybord", 0.1, 1)


def test_a_draft_goes_back_to_what_it_was():
    """Undoing a change restores units, and what may still be lost."""
    draft = Draft(units := clusters("ab"), [False, False], [0, 0])
    assert draft.take(change := Change(0, 1, ())) and not draft.take(Change(1, 2, ()))
    draft.undo(change)
    assert draft.units() == units and draft.take(Change(1, 2, ()))


@pytest.mark.parametrize("name", ["insert", "delete", "swap", "repeat", "punctuation", "word_delete", "word_shuffle"])
def test_the_mean_over_texts_is_the_rate_asked_for(name):
    """Rounding cancels out, in short texts as in long ones, in Thai as in English: within half a point."""
    count = 1_000 if name.startswith("word") else 300
    for language in ("en", "th"):
        done = [perturb_text(SAMPLES[language], language, name, 0.1, 1, row=str(i)) for i in range(count)]
        rate = sum(d.edits for d in done) / sum(d.units for d in done)
        assert abs(rate - 0.1) < 0.005, language


def test_white_space_is_not_counted():
    """A language with many spaces is not changed more for it."""
    assert perturb_text("a b c d e", "en", "delete", 0.5, 1).units == 5
    assert all(is_space(unit) for unit in (" ", "\u3000", "\n"))
