#!/usr/bin/env python3
"""test_page.py SEXTANT [TEST...]: the web page in Chromium: searching while typing, the keyboard, jobs, keys, nothing from elsewhere, nothing run from data.
With SX_SCREENSHOTS=FOLDER it leaves there the pictures that docs/serving.md shows."""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

from serving import Server, environment, program, run_tests

if not shutil.which("chromium"):
    print("chromium is not installed: scripts/install-packages test")
    sys.exit(77)
from browser import Browser

here = os.path.dirname(os.path.abspath(__file__))
docs = os.path.join(os.path.dirname(os.path.dirname(here)), "docs")
EVIL = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"


def start(*options):
    return Server("--db", "x.db", *options)


def fill(s):
    assert s.ask("/v1/collections", {"name": "notes"})[0] == 201
    texts = {"boats.txt": "The boats came in with the tide, full of herring.", "stars.txt": "Navigators measured the height of stars with a sextant.",
             EVIL: f"Some text about markup {EVIL} that must stay text."}
    body = {"documents": [{"id": k, "text": v, "metadata": {"note": EVIL}} for k, v in texts.items()]}
    assert s.ask("/v1/collections/notes/documents", body)[1]["documents"]["added"] == 3


def problems(b):
    """What the console complained of, and requests to other places than the server."""
    bad = [e["params"] for e in b.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
    urls = [e["params"]["request"]["url"] for e in b.events if e["method"] == "Network.requestWillBeSent"]
    return bad + [u for u in urls if not u.startswith(("http://127.0.0.1:", "about:"))]


def found(b, count=1):
    b.wait(f"document.querySelectorAll('.hit').length >= {count} && /on the map$/.test(document.getElementById('summary').textContent)")


def focused(b):
    return b.evaluate("[...document.querySelectorAll('.hit')].indexOf(document.activeElement)")


def test_search_and_keyboard():
    with start() as s, Browser() as b:
        fill(s)
        b.open(f"http://127.0.0.1:{s.port}/")
        b.wait("document.querySelector('#collection').value === 'notes'")
        b.evaluate("document.activeElement.blur()")
        b.press("/")
        assert b.evaluate("document.activeElement.id") == "query"
        b.type("measuring the sky with a sextant")
        found(b, 3)
        first = b.evaluate("document.querySelector('.hit').innerText")
        assert "stars.txt" in first and "meaning #1" in first and "words #1" in first, first
        assert b.evaluate("document.querySelector('.hit mark').textContent") == "sextant"
        assert b.evaluate("location.search").startswith("?q=measuring")
        b.press("ArrowDown")
        b.press("ArrowDown")
        assert focused(b) == 1
        b.press("ArrowUp")
        b.press("Enter")
        assert focused(b) == 0 and b.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
        assert "api:" not in b.evaluate("document.activeElement.querySelector('dl').innerText")
        b.press("Escape")
        assert b.evaluate("document.activeElement.getAttribute('aria-expanded')") == "false"
        b.press("ArrowUp")
        assert b.evaluate("document.activeElement.id") == "query"
        # what a stack trace names is lifted, and the hit says why
        b.evaluate("document.getElementById('type').value = 'error_analysis'; document.getElementById('query').value = ''")
        b.type('Traceback (most recent call last):\\n  File "stars.txt", line 1, in measure\\nValueError: nothing')
        b.wait("[...document.querySelectorAll('.hit .chip')].some(chip => chip.textContent.includes('stars.txt'))")
        b.evaluate("document.getElementById('type').value = 'general'")
        # markup in names, texts and metadata stays text
        b.evaluate("document.getElementById('query').value = ''")
        b.type("markup")
        b.wait("document.querySelector('.hit .source').textContent.startsWith('<img')")
        assert b.evaluate("document.title") == "Sextant" and b.evaluate("document.querySelectorAll('#hits img, #hits script').length") == 0
        assert b.evaluate("document.querySelector('.hit dl').innerText") is not None and not problems(b), problems(b)


def test_policy():
    with start() as s, Browser() as b:
        _, _, headers = s.ask("/")
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and headers["x-content-type-options"] == "nosniff"
        b.open(f"http://127.0.0.1:{s.port}/")
        b.wait("document.querySelectorAll('#model-list .card').length === 1")
        assert not problems(b), problems(b)
        b.evaluate("{ const n = document.createElement('script'); n.textContent = \"document.title='run'\"; document.body.append(n); }")
        assert b.evaluate("document.title") == "Sextant"
        assert b.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
        for name in ("index.html", "page.css", "page.js", "icon.svg", "map.html", "map.css", "map.js", "map-page.js"):
            assert s.ask("/page/" + name)[0] == 200
        assert s.ask("/page/x.html")[0] == 404 and s.ask("/page/..%2fserver.c")[0] == 404


def test_map():
    """From a search to the map: its hits stand out, words and meaning are looked for, the pointer and the keys show passages, markup stays text."""
    with start() as s, Browser() as b:
        fill(s)
        more = [{"id": f"{kind}{i}.txt", "text": f"{text} {i}."} for kind, text in (("bread", "A recipe for bread with flour and yeast"), ("rain", "The weather brings rain and wind"))
                for i in range(20)]
        assert s.ask("/v1/collections/notes/documents", {"documents": more})[1]["documents"]["added"] == 40
        b.open(f"http://127.0.0.1:{s.port}/")
        b.wait("document.querySelector('#collection-list a')")
        b.evaluate("document.getElementById('query').focus()")
        b.type("measuring the sky with a sextant")
        b.wait("document.querySelector('#summary a')")
        b.evaluate("document.querySelector('#summary a').click()")
        b.wait("document.getElementById('found') && /nearest/.test(document.getElementById('found').textContent)")
        assert b.evaluate("document.title") == "notes - map - Sextant"
        assert b.evaluate("document.querySelector('header p').textContent").startswith("43 passages"), b.evaluate("document.body.innerText")
        assert b.evaluate("document.querySelectorAll('#groups button').length") >= 2
        b.evaluate("document.getElementById('search').focus(); document.getElementById('search').value = ''")
        b.type("height stars")
        b.wait("document.getElementById('found').textContent === '1 passage'")
        b.evaluate("document.getElementById('map').focus()")
        b.press("n")
        b.wait("document.getElementById('card').innerText.includes('Navigators')")
        # the pointer finds what the keys have found
        b.evaluate("""{ const box = document.getElementById('map').getBoundingClientRect(), card = document.getElementById('card').getBoundingClientRect();
            document.getElementById('card').replaceChildren(); window.at = null; const canvas = document.getElementById('map');
            for (let y = 0; y < box.height && !window.at; y += 8) for (let x = 0; x < box.width && !window.at; x += 8) {
                canvas.onpointermove({ offsetX: x, offsetY: y }); if (document.getElementById('card').innerText.includes('Navigators')) window.at = [x, y]; } }""")
        assert b.evaluate("window.at !== null")
        b.evaluate("document.getElementById('search').focus(); document.getElementById('search').value = ''")
        b.type("markup")
        b.wait("document.getElementById('found').textContent === '1 passage'")
        b.evaluate("document.getElementById('map').focus()")
        b.press("n")
        b.wait("document.getElementById('card').innerText.includes('<img src=x')")
        assert b.evaluate("document.querySelectorAll('img, main script').length") == 0 and b.evaluate("document.title") == "notes - map - Sextant"
        assert not problems(b), problems(b)
        for shape in ({"width": 390, "height": 800, "phone": True}, {"width": 1000, "height": 700, "dark": True}):
            b.open(f"http://127.0.0.1:{s.port}/page/map.html?in=notes", **shape)
            b.wait("document.querySelector('#map')")
            assert overflow(b) <= 0, shape
        b.open(f"http://127.0.0.1:{s.port}/page/map.html?in=nobody")
        b.wait("/nobody/.test(document.getElementById('notice').textContent)")
        # and for programs
        status, data, _ = s.ask("/v1/collections/notes/map?points=10&layout=pca&color_by=document")
        assert status == 200 and data["model"] == "minilm" and len(data["points"]) == 10 and data["passages"] == 43 and data["layout"] == "pca", data
        for wrong in ("points=0", "points=20001", "clusters=x", "layout=round", "points="):
            assert s.ask("/v1/collections/notes/map?" + wrong)[0] == 400, wrong
        assert s.ask("/v1/collections/nobody/map")[0] == 404


def test_map_in_a_file():
    """The page that `sextant map` writes needs nothing else: opened from the disk it shows passages and finds words, and fetches nothing."""
    with start() as s, Browser() as b:
        fill(s)
        subprocess.run([program, "map", "-c", "notes", "--db", "x.db", "-o", "map.html"], cwd=s.home, env=environment(s.home), check=True, capture_output=True)
        b.open(f"file://{s.home}/map.html")
        b.wait("document.querySelectorAll('#groups button').length >= 1")
        b.evaluate("document.getElementById('search').focus()")
        b.type("markup")
        b.wait("document.getElementById('found').textContent === '1 passage'")
        b.press("Enter")
        b.wait("document.getElementById('card').innerText.includes('<img src=x')")
        assert b.evaluate("document.querySelectorAll('img').length") == 0 and b.evaluate("document.title") == "notes"
        bad = [e["params"] for e in b.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
        urls = [e["params"]["request"]["url"] for e in b.events if e["method"] == "Network.requestWillBeSent"]
        assert not bad and all(url.startswith(f"file://{s.home}/map.html") for url in urls), (bad, urls)


def test_key():
    with tempfile.TemporaryDirectory() as folder:
        keys = os.path.join(folder, "keys")
        with open(keys, "w") as f:
            f.write("a sha256:" + hashlib.sha256(b"secret").hexdigest() + "\n")
        with start("--api-key-file", keys) as s, Browser() as b:
            b.open(f"http://127.0.0.1:{s.port}/")
            b.wait("document.getElementById('key-dialog').open")
            b.evaluate("document.getElementById('key').focus()")
            b.type("secret")
            b.evaluate("document.querySelector('#key-form .primary').click()")
            b.wait("document.querySelectorAll('#model-list .card').length === 1")


def overflow(b):
    return b.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_jobs_and_looks():
    """A job with its progress; desktop and phone, light and dark: nothing is wider than the screen, and text is told from its ground."""
    to = os.environ.get("SX_SCREENSHOTS")
    with start("--source", "handbook=" + docs) as s, Browser() as b:
        b.open(f"http://127.0.0.1:{s.port}/")
        b.wait("document.querySelector('#sources button')")
        b.evaluate("document.querySelector('#sources button').click()")
        b.wait("document.querySelector('#job-list progress')")
        if to:
            b.wait("document.querySelector('#job-list .card p').textContent.includes('left')")
            b.evaluate("document.querySelector('#collections').scrollIntoView()")
            time.sleep(0.7)
            b.screenshot(os.path.join(to, "page-job.png"))
        b.wait("document.querySelector('#job-list .good')", 200)
        b.wait("document.querySelector('#collection').value === 'handbook'")
        b.evaluate("document.getElementById('query').focus()")
        b.type("move a collection to another model")
        found(b, 5)
        assert "moving-models.md" in b.evaluate("document.querySelector('.hit').innerText")
        address = b.evaluate("location.href")
        if to:
            b.open(f"http://127.0.0.1:{s.port}/page/map.html?in=handbook&q=move+a+collection+to+another+model", width=1000, height=700)
            b.wait("document.getElementById('found') && /nearest/.test(document.getElementById('found').textContent)")
            b.press("n")
            b.screenshot(os.path.join(to, "page-map.png"))
        for name, shape in (("desktop-light", {"width": 1000, "height": 860}), ("desktop-dark", {"width": 1000, "height": 860, "dark": True}),
                            ("phone-light", {"width": 390, "height": 800, "phone": True}), ("phone-dark", {"width": 390, "height": 800, "phone": True, "dark": True}),
                            ("narrow", {"width": 320, "height": 640, "phone": True})):
            b.open(address, **shape)
            found(b, 5)
            b.wait("document.querySelectorAll('.card').length >= 3")
            assert overflow(b) <= 0, name
            ground = b.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(int(n) for n in ground[4:-1].split(",")) < 150) == name.endswith("dark"), (name, ground)
            if to and name != "narrow":
                b.screenshot(os.path.join(to, f"page-{name}.png"))
        assert not problems(b), problems(b)


run_tests(globals())
