"""The live page: its engine against jaxbp, and the page itself in a headless browser, with the network cut off."""

import json
import os
import re
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import targets_for

import browser as chromium
import jaxbp
from jaxbp.activations import ACTIVATIONS
from jaxbp.losses import LOSSES
from jaxbp.viz import page as module
from jaxbp.viz import save_page

ROOT, FOLDER = Path(__file__).parent.parent, Path(module.__file__).parent
SCRIPTS = sorted(FOLDER.glob("*.js"))
WORDS = json.loads((FOLDER / "words.json").read_text(encoding="utf-8"))
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}  # fifty programs that run once each
XOR = (
    np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]),
    np.array([[0.0], [1.0], [1.0], [0.0]]),
)
NETWORKS = {
    "3-4-2": (jaxbp.Mlp((3, 4, 2), "sigmoid", "sigmoid"), 3, "half_squared_error"),
    "2-2-1": (jaxbp.Mlp((2, 2, 1), "sigmoid", "sigmoid"), 4, "mean_squared_error"),
    "2-16-16-1": (jaxbp.Mlp((2, 16, 16, 1), "relu"), 40, "mean_squared_error"),
    "5-7-7-3": (jaxbp.Mlp((5, 7, 7, 3), "tanh"), 5, "softmax_cross_entropy"),
}

AXE = next(
    (
        p
        for p in (ROOT / "node_modules/axe-core/axe.min.js", Path(os.environ.get("AXE_CORE", "-")))
        if p.is_file()
    ),
    None,
)

needs_browser = pytest.mark.skipif(
    chromium.BROWSER is None, reason="NO CHROMIUM: install one to test the live page"
)


def random_params(mlp, generator, scale=1.0):
    return tuple(
        jaxbp.Layer(
            scale * generator.standard_normal((i, o)) / np.sqrt(i),
            0.3 * generator.standard_normal(o),
        )
        for i, o in pairwise(mlp.sizes)
    )


@pytest.fixture(scope="module")
def opened():
    with chromium.start() as started:
        yield started
        assert started.complaints == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def path_of(name, lang="en"):
        if (name, lang) not in made:
            mlp, number, loss = NETWORKS[name]
            generator = np.random.default_rng(0)
            params = random_params(mlp, generator)
            inputs = generator.standard_normal((number, mlp.sizes[0])).round(2)
            targets = targets_for(loss, (number, mlp.sizes[-1]), generator)
            inputs, targets = XOR if name == "2-2-1" else (inputs, targets)
            path = folder / f"{name}-{lang}.html"
            made[name, lang] = save_page((mlp, params), inputs, targets, path, loss=loss, lang=lang)
        return made[name, lang]

    return path_of


def leaves_of(trace):
    kept = (trace.preactivations, trace.activations, trace.activation_errors, trace.node_errors)
    return [
        np.asarray(a).ravel()
        for a in (
            *(a for arrays in kept for a in arrays),
            *jax.tree.leaves(trace.gradient),
            trace.loss,
        )
    ]


@pytest.mark.slow
@needs_browser
def test_fifty_networks_have_jaxbps_numbers_in_the_browser(opened, pages, x64):
    cases, expected = [], []
    traced = jax.jit(jaxbp.backprop, static_argnums=(0, 4), compiler_options=QUICK)
    for seed in range(50):
        generator = np.random.default_rng(seed)
        depth = 1 + seed % 6
        sizes = [int(size) for size in generator.integers(1, 60 // (depth + 1) + 1, depth + 1)]
        loss = tuple(LOSSES)[seed % 4]
        sizes[-1] += sizes[-1] == 1 and loss == "softmax_cross_entropy"
        hidden = tuple(tuple(ACTIVATIONS)[(seed + 2 * k) % 9] for k in range(depth - 1))
        output = "identity" if "entropy" in loss else tuple(ACTIVATIONS)[(seed * 5 + 1) % 9]
        mlp = jaxbp.Mlp(tuple(sizes), hidden, output)
        params, inputs = (
            random_params(mlp, generator),
            generator.standard_normal((1 + seed % 3, sizes[0])),
        )
        targets = targets_for(loss, (len(inputs), sizes[-1]), generator)
        expected.append(leaves_of(traced(mlp, params, inputs, targets, loss)))
        rows = np.eye(sizes[-1])[targets] if targets.ndim == 1 else targets
        layers = [{"weight": weight.tolist(), "bias": bias.tolist()} for weight, bias in params]
        cases.append(
            (
                {"sizes": sizes, "activations": mlp.activation_names},
                layers,
                inputs.tolist(),
                rows.tolist(),
                loss,
            )
        )
    opened.show(pages("2-2-1"))
    found = opened.run(
        f"""{json.dumps(cases)}.map((given) => {{
          const t = backprop(...given), arrays = (all) => all.slice(1).map((a) => a.flat());
          const kept = [t.preactivations, t.activations, t.activationErrors, t.nodeErrors];
          const slopes = t.gradient.flatMap((layer) => [layer.weight.flat(), layer.bias]);
          return [...kept.flatMap(arrays), ...slopes, [t.loss]];
        }})"""
    )
    for seed, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(
                one, other, rtol=0, atol=1e-12 * np.abs(other).max(), err_msg=str(cases[seed][0])
            )


@needs_browser
@pytest.mark.parametrize("name", ["descent", "adam"])
def test_a_step_of_the_page_is_a_step_of_optax(opened, pages, x64, name):
    mlp, _, loss = NETWORKS["2-2-1"]
    params = random_params(mlp, np.random.default_rng(0))
    optimizer = optax.sgd(0.5) if name == "descent" else optax.adam(0.5)

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(
            jaxbp.loss_and_gradient(mlp, params, *XOR, loss)[1], state
        )
        return optax.apply_updates(params, updates), state

    moved, state = params, optimizer.init(params)
    for _ in range(30):
        moved, state = step(moved, state)
    opened.show(pages("2-2-1"), view="training")
    opened.run(
        f"Object.assign(views.training.live, {{ rate: 0.5, optimizer: '{name}' }}); views.training.advance(30)"
    )
    found = opened.run("page.state.params.flatMap((layer) => [layer.weight.flat(), layer.bias])")
    assert "Step 30" in opened.run(
        "page.flush(), document.querySelector('#panel-training .numbers').textContent"
    )
    for one, other in zip(found, jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(one, np.ravel(other), rtol=1e-9, atol=1e-12)


@needs_browser
@pytest.mark.parametrize("name", NETWORKS)
def test_no_number_lies_on_another_and_no_request_leaves(opened, pages, name):
    path = pages(name)
    assert path.stat().st_size <= 150_000
    assert not re.search(r"https?:|//[a-z]+\.[a-z]|url\(|@import", path.read_text(encoding="utf-8"))
    for width, dark in ((400, False), (1600, True)):
        opened.show(path, width=width, dark=dark, view="walk")
        assert opened.requests == [path.as_uri()]
        assert opened.run("document.getElementById('badge').className") == "badge good"
        assert float(opened.run("document.getElementById('badge').dataset.worst")) <= 1e-12
        for unit in ([1, 0], [len(NETWORKS[name][0].sizes) - 1, 0]):
            opened.run(f"page.change({{ unit: {unit} }}), page.flush()")
            assert opened.run(OVERLAPS) == []
        assert opened.run("document.documentElement.scrollWidth <= innerWidth")


OVERLAPS = """(() => {
  const texts = [...document.querySelectorAll(".number .value, .number .key, .head")];
  const range = document.createRange();  // of the text, which may be wider than its element
  const boxes = texts.map((element) => {
    range.selectNodeContents(element);
    return [element.textContent, range.getBoundingClientRect()];
  });
  const crossing = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5
    && a.top < b.bottom - 3 && b.top < a.bottom - 3;
  return boxes.flatMap(([text, a], k) =>
    boxes.slice(k + 1).filter(([, b]) => crossing(a, b)).map(([other]) => `${text} on ${other}`));
})()"""


@needs_browser
def test_every_number_follows_a_drag_and_keys_walk_through_the_passes(opened, pages):
    opened.show(pages("3-4-2"), view="walk")
    before = opened.run("[page.value('w.1.0.0'), page.value('z.1.0'), page.value('gw.1.0.0')]")
    opened.drag("[data-ref='w.1.0.0']", 40)
    after = opened.run("[page.value('w.1.0.0'), page.value('z.1.0'), page.value('gw.1.0.0')]")
    assert after[0] == pytest.approx(round(before[0], 2) + 0.4, abs=0.011)
    assert after[1] != before[1]
    assert after[2] != before[2]
    shown = opened.run("document.querySelector(\"[data-ref='z.1.0'] .value\").textContent")
    assert shown == opened.run("format(page.value('z.1.0'))")
    opened.press("ArrowUp")  # the weight has the focus
    assert opened.run("page.value('w.1.0.0')") == pytest.approx(after[0] + 0.1)
    assert "∂L/∂w" in opened.run("document.querySelector('.formula').textContent")
    opened.run(
        "document.querySelector('.bar .forward').click(), document.querySelector('.bar .forward').focus(), page.flush()"
    )
    stages = []
    for _ in range(4):
        stages.append(opened.run("document.querySelector('.stage').textContent"))
        opened.press("ArrowRight")
    assert stages == [
        "Forward: loss",
        "Step 1: node errors of layer 2",
        "Step 1: node errors of layer 1",
        "Step 2: gradient of layer 2",
    ]
    opened.run("document.querySelector(\"[data-ref='e.1.0']\").focus(), page.flush()")
    lit = opened.run("[...document.querySelectorAll('.factor')].map((e) => e.dataset.ref).sort()")
    assert lit == ["d.2.0", "d.2.1", "w.2.0.0", "w.2.0.1"]
    assert opened.run("document.querySelector('.symbols').textContent") == "e4 = δ8 w84 + δ9 w94"


@needs_browser
@pytest.mark.parametrize("width", [400, 1600])
def test_a_drag_costs_one_sweep_a_frame_and_builds_no_number_anew(opened, pages, width):
    """Counted, not timed: so many moves of the mouse between two frames are one computation and one rendering."""
    opened.show(pages("3-4-2"), view="walk", width=width)
    sweeps, numbers, renderings = opened.run("""(async () => {
      let sweeps = 0, numbers = 0, renderings = 0;
      const sweep = backprop, render = views.walk.render;
      backprop = (...given) => (sweeps++, sweep(...given));
      views.walk.render = (...given) => (renderings++, render(...given));
      const observer = new MutationObserver((changes) =>
        changes.forEach((one) => (numbers += [...one.addedNodes].filter((node) => node.matches?.(".number")).length)));
      observer.observe(document.getElementById("panel-walk"), { childList: true, subtree: true });
      for (let frame = 0; frame < 3; frame++) {
        for (let move = 0; move < 50; move++) page.set("w.1.0.0", frame + move / 100);
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      }
      observer.disconnect();
      [backprop, views.walk.render] = [sweep, render];
      return [sweeps, numbers, renderings];
    })()""")
    assert (sweeps, numbers, renderings) == (3, 0, 3)


@pytest.mark.slow
@needs_browser
@pytest.mark.skipif(
    AXE is None, reason="NO AXE: npm install axe-core to test that everybody can use the pages"
)
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1600])
def test_axe_finds_no_violation(opened, pages, width, dark):
    script = AXE.read_text(encoding="utf-8")
    violations = "axe.run().then((r) => r.violations.map((v) => `${v.id}: ${v.nodes[0].html}`))"
    for name, views in (("2-2-1", module.VIEWS), ("5-7-7-3", ("walk", "check"))):
        for view in views:
            opened.show(pages(name), width=width, dark=dark, view=view)
            mistake = "'sign'" if view == "check" else "null"
            opened.run(f"page.change({{ mistake: {mistake}, number: 'd.1.0' }}), page.flush()")
            opened.run(f"{script}; 0")
            assert opened.run(violations) == [], (name, view)
        opened.run("tour.begin()")
        assert opened.run(violations) == [], (name, "tour")
    for film in (ROOT / "figures").glob("*film.html"):
        opened.show(film, width=width, dark=dark)
        opened.run(f"{script}; 0")
        assert opened.run(violations) == [], film.name


FIRST = {  # the page, and the first number that each mistake makes wrong
    "upstream": ("3-4-2", "δ8"),
    "local": ("3-4-2", "e4"),
    "confused": ("3-4-2", "δ8"),
    "argument": ("3-4-2", "δ8"),
    "twice": ("2-2-1", "∂L/∂w53"),
    "half": ("3-4-2", "e8"),
    "sign": ("3-4-2", "e8"),
    "broadcast": ("2-2-1", "L"),
    "guard": ("5-7-7-3", "L"),
    "identity": ("2-16-16-1", None),
}


@needs_browser
@pytest.mark.slow
def test_each_mistake_turns_the_badge_red_and_is_named(opened, pages):
    assert opened.show(pages("2-2-1")) is None
    assert set(FIRST) == set(opened.run("Object.keys(MISTAKES)"))
    for mistake, (name, first) in FIRST.items():
        opened.show(pages(name), view="check")
        assert opened.run(f"MISTAKES.{mistake}.applies(page.state)") is None, mistake
        opened.run(f"document.querySelector('input[value={mistake}]').click(), page.flush()")
        assert opened.run("document.getElementById('badge').className") == "badge bad", mistake
        named = opened.run("document.getElementById('badge').dataset.first")
        assert first in (None, named), mistake
        assert opened.run("document.querySelectorAll('.number.culprit').length") > 0, mistake
        opened.run("new Promise((done) => setTimeout(done, 250))")
        verdicts = opened.run("document.querySelector('#panel-check .scroll').textContent")
        assert "✗" in verdicts, mistake
        opened.run("document.querySelector('input[name=mistake]').click(), page.flush()")
        assert opened.run("document.getElementById('badge').className") == "badge good", mistake


@needs_browser
@pytest.mark.slow
def test_a_recorded_run_is_replayed_to_the_digit(opened, tmp_path, x64):
    mlp = jaxbp.Mlp((2, 8, 1), "tanh")
    generator = np.random.default_rng(1)
    inputs = generator.uniform(-1, 1, (30, 2))
    targets = np.sin(3 * inputs[:, :1])
    recording = {}
    for name, dtype in (("double", jnp.float64), ("single", jnp.float32)):
        params = jax.tree.map(
            lambda leaf, dtype=dtype: jnp.asarray(leaf, dtype),
            random_params(mlp, np.random.default_rng(1)),
        )
        steps, losses = [], []
        for step in range(6):
            wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
            loss, gradient = jaxbp.loss_and_gradient(mlp, wide, inputs, targets)
            steps.append((10**step, params))
            losses.append(float(loss))
            params = jax.tree.map(
                lambda p, g, dtype=dtype: (p - 0.3 * g).astype(dtype), params, gradient
            )
        recording[name] = (mlp, steps, losses)
    path = save_page(
        (mlp, recording["double"][1][0][1]),
        inputs,
        targets,
        tmp_path / "runs.html",
        recording=recording,
    )
    assert path.stat().st_size <= 1_000_000
    opened.show(path, view="training")
    for k in range(6):
        opened.run(f"views.training.go({k}), page.flush()")
        found = opened.run(
            "[...document.querySelectorAll('.run .numbers')].map((e) => [Number(e.dataset.loss), e.textContent])"
        )
        for (value, text), (_, steps, losses) in zip(found, recording.values(), strict=True):
            assert value == pytest.approx(losses[k], rel=1e-13)
            assert f"step {steps[k][0]}:" in text
            assert opened.run(f"format({losses[k]!r}, 10)") in text
        assert opened.run(
            "[...document.querySelectorAll('.run .verdict')].every((e) => e.classList.contains('good'))"
        )
        assert opened.run("page.state.params[0].weight[1][3]") == float(
            recording["double"][1][k][1][0].weight[1, 3]
        )


COMMITTED = [
    p
    for p in sorted((ROOT / "figures").glob("*.html"))
    if 'id="data"' in p.read_text(encoding="utf-8")
]


@needs_browser
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_the_committed_pages_agree_with_jaxbp(opened, path):
    opened.show(path, width=400, view="walk")
    assert opened.run(OVERLAPS) == []
    opened.show(path, view="check")
    assert "✗" not in opened.run("document.querySelector('#panel-check .scroll').textContent")
    opened.show(path, view="training")
    assert opened.run("document.getElementById('badge').className") == "badge good"
    runs = opened.run("views.training ? views.training.runs.length : 0")
    assert path.stat().st_size <= (1_000_000 if runs else 150_000)
    verdicts = opened.run("[...document.querySelectorAll('.run .verdict')].map((e) => e.className)")
    assert verdicts == ["verdict good"] * runs


@needs_browser
@pytest.mark.slow
def test_each_mistake_can_be_made_on_a_page_of_the_errata(opened):
    possible = set()
    for path in (path for path in COMMITTED if path.name.startswith("errata")):
        opened.show(path, view="check")
        possible |= set(
            opened.run(
                "Object.keys(MISTAKES).filter((name) => !MISTAKES[name].applies(page.state))"
            )
        )
    assert possible == set(FIRST)


@needs_browser
def test_the_map_of_a_unit_is_what_the_walk_shows_there(opened, pages):
    opened.show(pages("2-16-16-1"), view="plane")
    worst = opened.run("""(() => {
      views.plane.show("d");
      const side = 9, domain = domainOf(page.data.inputs), points = gridPoints(domain, side);
      const maps = [views.plane.valueAt(side, 1, 3), views.plane.valueAt(side, 2, 5), views.plane.valueAt(side, 3, 0)];
      let worst = 0;
      for (const p of [0, 13, 40, 57, 80]) {
        page.set("a.0.0", points[p][0]);
        page.set("a.0.1", points[p][1]);
        ["d.1.3", "d.2.5", "d.3.0"].forEach((ref, k) => {
          worst = Math.max(worst, Math.abs(page.value(ref) - maps[k][p]));
        });
      }
      page.flush();
      return worst;
    })()""")
    assert worst < 1e-12


@needs_browser
def test_a_click_in_the_plane_makes_the_sample_of_the_walk(opened, pages):
    opened.show(pages("2-2-1"), view="plane")
    opened.run("document.querySelector('.square').scrollIntoView({ block: 'center' })")
    box = opened.run(
        "(({ x, y, width }) => [x, y, width])(document.querySelector('.square').getBoundingClientRect())"
    )
    opened.page.mouse.click(box[0] + box[2] / 2, box[1] + box[2] / 4)
    opened.settle()
    # The samples lie in the unit square, and the plane has a margin of a fifth on each side.
    assert opened.run("page.state.inputs[0]") == pytest.approx([0.5, 0.5 + 1.4 / 4], abs=0.02)
    shown = "document.querySelector(\"[data-ref='a.0.1'] .value\").textContent"
    assert float(opened.run(shown)) == opened.run("page.state.inputs[0][1]")
    opened.run("document.querySelector('.marker').focus()")
    before = opened.run("page.state.inputs[0][0]")
    opened.press("ArrowRight")
    assert opened.run("page.state.inputs[0][0]") == pytest.approx(before + 1.4 / 50, abs=1e-3)
    opened.run(
        "[...document.querySelectorAll('header button')].find((b) => b.textContent === 'Reset').click()"
    )
    opened.settle()
    assert opened.run("page.state.inputs[0]") == [0, 0]


@needs_browser
@pytest.mark.parametrize(
    "views", [("walk",), ("plane",), ("training", "depth"), ("reveal", "check")]
)
def test_any_choice_of_views_makes_a_page(opened, tmp_path, views):
    mlp = NETWORKS["2-2-1"][0]
    path = save_page(
        (mlp, random_params(mlp, np.random.default_rng(0))),
        *XOR,
        tmp_path / "some.html",
        views=views,
    )
    for width in (400, 1600):
        opened.show(path, width=width)
        opened.run(
            "tour.begin(), Array.from({ length: 7 }, (_, k) => tour.show(k)), tour.end(), page.flush()"
        )
        assert opened.run(
            "[...document.querySelectorAll('[role=tabpanel]')].some((panel) => panel.offsetHeight > 50)"
        )
        assert opened.run("document.getElementById('badge').className") == "badge good"


@needs_browser
def test_a_wrong_answer_is_told_what_it_forgot(opened, pages):
    opened.show(pages("3-4-2"), view="reveal")
    opened.run("views.reveal.ask('e.1.0'), page.flush()")
    assert opened.run("document.querySelector(\"[data-ref='e.1.0'] .value\").textContent") == "?"
    values = opened.run("['e.1.0', 'd.2.0', 'w.2.0.0'].map(page.value)")

    def answer(value):
        return opened.run(
            f"document.querySelector('.answer').value = '{value!r}',"
            "document.querySelector('#panel-reveal form').requestSubmit(),"
            "document.querySelector('#panel-reveal .verdict').textContent"
        )

    assert answer(values[0] - values[1] * values[2]) == "✗ One path is missing: δ8 w84."
    assert answer(-values[0]) == "✗ The sign is the other one."
    assert answer(values[0]).startswith("✓ e4 = ")
    opened.settle()
    assert opened.run("document.querySelector(\"[data-ref='e.1.0'] .value\").textContent") != "?"


@needs_browser
@pytest.mark.slow
def test_every_view_draws_itself_in_both_languages_and_the_tour_has_seven_steps(opened, pages):
    for name, lang, width in (("2-2-1", "zh", 400), ("2-16-16-1", "en", 1600)):
        for view in module.VIEWS:
            opened.show(pages(name, lang), view=view, width=width, still=True)
            visible = f"document.querySelector('#panel-{view}').offsetHeight > 100"
            assert opened.run(visible) or (view == "walk" and width == 400), view
            assert opened.run("document.documentElement.scrollWidth <= innerWidth"), view
        assert opened.run("tour.steps.length") == 7
        opened.run("tour.begin()")
        titles = set()
        for _ in range(7):
            titles.add(opened.run("document.querySelector('.tour h2').textContent"))
            opened.run("document.querySelector('.tour .main').click()")
        assert len(titles) == 7
        assert opened.run("document.querySelector('.tour').hidden")
    assert (
        opened.run(
            "views.depth.measure({ depth: 30, activation: 'sigmoid', scheme: 'glorot', gain: 1, seed: 0 }).length"
        )
        == 30
    )


def test_both_languages_have_all_words():
    used = set()
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        used |= {
            found for found in re.findall(r'"([a-z]\w*(?:\.\w+)+|[a-z_]+)"', text) if found in WORDS
        }
        for prefix, suffix in re.findall(r"say\(\s*`([\w.]*)\$\{[^}]*\}([\w.]*)`", text):
            matching = {key for key in WORDS if key.startswith(prefix) and key.endswith(suffix)}
            assert matching, (script.name, prefix, suffix)
            used |= matching
        for key in re.findall(r'say\(\s*"([^"]+)"', text):
            assert key in WORDS, f"{script.name}: {key}"
    assert set(WORDS) - used - {"noscript", *LOSSES} == set()
    for key, both in WORDS.items():
        assert sorted(re.findall(r"\{\d\}", both["en"])) == sorted(
            re.findall(r"\{\d\}", both["zh"])
        ), key
        formula = re.search(r"[=:]", both["en"]) and key.endswith((".right", ".wrong"))
        assert (
            formula
            or not re.search(r"[a-z]{3}", both["en"])
            or re.search(r"[\u4e00-\u9fff]", both["zh"])
        ), key


def test_the_scripts_stay_readable():
    assert len((FOLDER / "engine.js").read_text(encoding="utf-8").splitlines()) < 200
    assert {f"{view}.js" for view in module.VIEWS} <= {script.name for script in SCRIPTS}
    for name in ("forward", "nodeErrors", "gradient", "loss", "backprop"):
        assert re.search(
            rf"^function {name}\(", (FOLDER / "engine.js").read_text(encoding="utf-8"), re.MULTILINE
        )


def test_a_model_is_shown_in_the_units_that_its_network_computes_in(tmp_path):
    mlp, generator = NETWORKS["2-2-1"][0], np.random.default_rng(0)
    points, outputs = 100 + 30 * generator.standard_normal((4, 2)), 7 * generator.standard_normal(4)
    model = jaxbp.Model.for_data(mlp, random_params(mlp, generator), points, outputs)
    inputs, targets = model.standardize(points, outputs)
    path = save_page(model, points, outputs, tmp_path / "model.html")
    alike = save_page((mlp, model.params), inputs, targets, tmp_path / "pair.html")
    assert path.read_text(encoding="utf-8") == alike.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="one network for a page, got 2"):
        save_page(model.with_terms(model.terms * 2), points, outputs, tmp_path / "two.html")
    with pytest.raises(
        ValueError, match=r"inputs and targets must be \(n, 2\).* got \(4, 3\) and \(4,\)"
    ):
        save_page(model, np.ones((4, 3)), outputs, tmp_path / "wide.html")


def test_what_no_page_can_show_is_refused(tmp_path):
    mlp, _, loss = NETWORKS["2-2-1"]
    params = random_params(mlp, np.random.default_rng(0))
    for match, change in {
        "end in .html": {"path": tmp_path / "page.txt"},
        "lang must": {"lang": "fr"},
        "views must": {"views": ("wlak",)},
        "views must name": {"views": ()},
        "at most 512 samples": {"inputs": np.zeros((513, 2)), "targets": np.zeros((513, 1))},
        "must be finite": {"inputs": np.full((4, 2), np.nan)},
        "2 inputs and 1 outputs": {"recording": {"run": (jaxbp.Mlp((3, 1)), [])}},
        "at least one step": {"recording": {"run": (mlp, [])}},
        "a loss for each": {"recording": {"run": (mlp, [(0, params)], [1.0, 2.0])}},
        "below 150,000 bytes": {"title": "long" * 40_000},
    }.items():
        given = {
            "inputs": XOR[0],
            "targets": XOR[1],
            "path": tmp_path / "page.html",
            "loss": loss,
        } | change
        with pytest.raises(ValueError, match=match):
            save_page((mlp, params), **given)
    with pytest.raises(ValueError, match="at most 100 units"):
        save_page(
            (jaxbp.Mlp((60, 60)), ()), np.zeros((1, 60)), np.zeros((1, 60)), tmp_path / "page.html"
        )
    assert list(tmp_path.iterdir()) == []
