import pathlib
import re
import sys

DOCS = pathlib.Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
import make_api  # noqa: E402


def test_the_api_page_is_what_the_docstrings_say():
  assert make_api.PAGE.read_text() == make_api.build(), (
    "docs/api.md is not up to date; run: python docs/make_api.py"
  )


def test_links_in_the_docs_lead_to_files():
  root = DOCS.parent
  pages = [root / "README.md", root / "experiments/README.md"]
  for page in [*pages, *DOCS.glob("*.md")]:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
      if "://" not in target:
        assert (page.parent / target).exists(), f"{page.name}: {target}"
