import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.plain_text import plain_text
from engine.core.templates import TemplateFault, Templates

THANKS = (
    '---\nsubject: "Thanks, {{ first_name }}"\nfrom: Shop <s@example.com>\nheaders: {X-Campaign: "{{ event.campaign }}"}\n---\n<p>Hi {{ first_name }}</p>\n'
)


def templates(fuel=100_000, bytes_max=10_000, **sources):
    return Templates(sources, fuel=fuel, bytes_max=bytes_max)


def rendered(source, values=None, *, html=False, **sources):
    return templates(**sources).compile(source, html=html)(values or {})


# -- rendering -------------------------------------------------------------------------------------------------------------


def test_html_is_escaped_and_text_is_not():
    values = {"first_name": "<b>&'"}
    assert rendered("{{ first_name }}", values) == "<b>&'"
    assert rendered("{{ first_name }}", values, html=True) == "&lt;b&gt;&amp;&#x27;"


@pytest.mark.parametrize("source", ["{{ nobody }}", "{{ event.a.b.c }}", "{{ event.nothing }}", "{{ nothing }}", "{{ event.deep.nothing }}"])
def test_what_is_missing_or_null_is_empty(source):
    assert rendered(source, {"nothing": None, "event": {"nothing": None, "deep": {"nothing": None}}}) == ""


def test_names_that_are_no_identifiers_break_nothing():
    assert rendered("{{ first_name }}", {"first_name": "Ann", "template_name": 1, "self": 2, "a b": 3, "class": 4, "": 5}) == "Ann"


def test_a_template_cannot_change_what_it_is_given():
    event = {"items": [1, 2], "inner": {"a": 1}}
    rendered("{{ event.items.clear() }}{{ event.inner.clear() }}{{ event.clear() }}", {"event": event})
    assert event == {"items": [1, 2], "inner": {"a": 1}}


def test_a_text_without_marks_is_itself():
    assert rendered("100 % {plain}\n") == "100 % {plain}\n"


def test_the_same_source_is_compiled_once():
    found = templates()
    assert found.compile("{{ a }}", html=True) is found.compile("{{ a }}", html=True)
    assert found.compile("{{ a }}", html=True) is not found.compile("{{ a }}", html=False)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{{ i }}{% endfor %}{% endfor %}", "fuel"),
        ("{{ 'x' * 999999999 }}", "fuel"),
        ("{% for i in range(20000) %}x{% endfor %}", "more than 10000 bytes"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ("{{ event.pop() }}", "pop"),
        ("{{ 1 / 0 }}", "unable to calculate"),
    ],
)
def test_a_hostile_template_is_a_fault(source, says):
    with pytest.raises(TemplateFault, match=says):
        rendered(source, {"event": {"a": 1}})


@pytest.mark.parametrize("source", ["{{ x", "{% if %}", "{% endfor %}", "{{ x | }}"])
def test_what_cannot_be_read_is_a_fault_with_its_line(source):
    with pytest.raises(TemplateFault) as caught:
        templates().compile("first\n" + source, html=False)
    assert caught.value.line == 2


def test_a_source_is_bounded():
    with pytest.raises(TemplateFault, match="longer"):
        templates(bytes_max=10).compile("{{ a }}" * 2, html=False)


# -- what is read ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ first_name }} {{ event.total }}", {"first_name", "event.total"}),
        ("{{ event.cart.items }}", {"event.cart"}),
        ("{{ address.city }}", {"address"}),
        ("{{ event }}", {"event"}),
        ("{% for key in event %}{{ key }}{% endfor %}", {"event"}),
        ("{{ event[first_name] }}", {"event", "first_name"}),
        ("{{ event.items() }}", {"event", "event.items"}),
        ("{% set e = entry %}{{ e.x }}", {"entry"}),
        ("{% for i in event.lines %}{{ i.sku }}{{ loop.index }}{% endfor %}{{ range(3) }}", {"event.lines"}),
        ("{{ owner.name }}{{ workspace.timezone }}", {"owner.name", "workspace.timezone"}),
        ("{# {{ a }} #}{% raw %}{{ b }}{% endraw %} plain", set()),
        ("{% include 'foot' %}", {"shop", "event.id"}),
    ],
)
def test_reads(source, names):
    assert templates(foot="---\nsubject: s\n---\n{{ shop }}{% include 'deep' %}", deep="{{ event.id }}{% include 'foot' %}").reads(source) == names


def test_an_include_must_be_there_and_be_named():
    with pytest.raises(TemplateFault, match='did you mean "foot"'):
        templates(foot="x").reads("{% include 'fot' %}")
    with pytest.raises(TemplateFault, match="in quotes"):
        templates(foot="x").reads("{% include name %}")


def test_a_text_includes_the_text_of_html():
    assert rendered("{% include 'foot' %}", {"shop": "A&B"}, foot="<p>{{ shop }} &copy;</p>").strip() == "A&B ©"
    assert rendered("{% include 'foot' %}", {"shop": "A&B"}, html=True, foot="<p>{{ shop }}</p>") == "<p>A&amp;B</p>"


# -- email -----------------------------------------------------------------------------------------------------------------


def test_an_email_is_front_matter_and_a_body():
    email = templates(thanks=THANKS).email("thanks")
    assert (email.subject, email.sender, email.reply_to) == ("Thanks, {{ first_name }}", "Shop <s@example.com>", "")
    assert email.headers == {"X-Campaign": "{{ event.campaign }}"}
    assert email.html == "<p>Hi {{ first_name }}</p>\n"
    assert email.text == "Hi {{ first_name }}\n"
    assert templates(thanks=THANKS).reads(*email.sources()) == {"first_name", "event.campaign"}


def test_a_body_without_tags_is_text():
    email = templates(offer="---\nsubject: Offer\n---\nHi {{ a }}, 3 < 4").email("offer")
    assert (email.html, email.text) == ("", "Hi {{ a }}, 3 < 4")


def test_front_matter_may_give_the_text_itself():
    assert templates(a="---\nsubject: s\ntext: own\n---\n<p>x</p>").email("a").text == "own"


@pytest.mark.parametrize(
    ("source", "says", "line"),
    [
        ("Hi", "no subject", 1),
        ("---\nsubject: {{ x }}\n---\n", "quote a text", 2),
        ("---\nsubject: s\nreplyto: x\n---\n", 'did you mean "reply_to"', 3),
        ("---\nsubject: 5\n---\n", "must be text, not 5", 2),
        ('---\nsubject: s\nheaders: {"X Y": a}\n---\n', "not the name of a header", 3),
        ("---\nsubject: s\n---\n<p>\n{{ x", "syntax error", 5),
    ],
)
def test_a_wrong_email_template_names_its_line(source, says, line):
    with pytest.raises(TemplateFault) as caught:
        templates(a=source).email("a")
    assert says in str(caught.value)
    assert (caught.value.template, caught.value.line) == ("a", line)


def test_a_missing_template_is_a_fault():
    with pytest.raises(TemplateFault, match='did you mean "thanks"'):
        templates(thanks=THANKS).email("thnaks")


def test_a_short_message_leaves_its_front_matter_and_blank_lines():
    assert templates(a="---\nsubject: s\n---\n\nHi {{ a }}\n").text("a") == "Hi {{ a }}"


def test_problems_are_those_that_no_values_could_mend():
    found = templates(
        good=THANKS, divides="---\nsubject: s\n---\n{{ 1 / x }}", filters="---\nsubject: s\n---\n\n{{ x | nofilter }}", includes="{% include 'none' %}"
    ).problems()
    assert [(problem.file, problem.line) for problem in found] == [("templates/filters", 5), ("templates/includes", 0)]


# -- the text beside the html ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo\n"),
        ("a<br>b", "a\nb\n"),
        ("<a href='https://x.y/?a=1&amp;b={{ id }}'>Go</a>", "Go (https://x.y/?a=1&b={{ id }})\n"),
        ('<a href="https://x.y">https://x.y</a>', "https://x.y\n"),
        ('<a href="javascript:x()">Go</a>', "Go\n"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n\n- b\n"),
        ("<style>p {x}</style><script>if (a < b) {}</script>x", "x\n"),
        ("<!-- <p>no</p> -->x", "x\n"),
        ("{% if a < b %}x{% endif %} {{ c > d }}", "{% if a < b %}x{% endif %} {{ c > d }}\n"),
        ("a &amp; b &copy; &#123;&#123; x }}", "a & b © &#123;&#123; x }}\n"),
        ("3 < 4", "3 < 4\n"),
    ],
)
def test_plain_text(html, text):
    assert plain_text(html) == text


@given(st.text(alphabet="<>/a!-{}%# \"'=&;\nph", max_size=80))
def test_any_html_has_a_text(html):
    assert isinstance(plain_text(html), str)


@pytest.mark.parametrize("piece", ["<", "<a", "<!--", "{{", "<script>", "<a {{", "&", "<p ", "</"])
def test_the_text_of_a_hostile_source_is_made_in_linear_time(piece):
    plain_text(piece * 50_000)  # pytest's timeout judges: the square of this takes hours


@given(st.text(alphabet="{}%# abc.|'\"()[]", max_size=40))
def test_any_source_renders_or_is_a_fault(source):
    found = templates()
    try:
        text = found.compile(source, html=True)({"a": 1, "b": {"c": 2}})
    except TemplateFault:
        return
    assert isinstance(text, str)
    assert all(set(name) <= set("abc.") for name in found.reads(source))
