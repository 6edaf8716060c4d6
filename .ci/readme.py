"""README.md from nbs/index.ipynb: the notebook's prose, code and saved outputs as Markdown."""
from pathlib import Path

from nbconvert import MarkdownExporter
from nbdev.process import NBProcessor
from nbdev.processors import FilterDefaults
from nbformat import from_dict
import json

root = Path(__file__).resolve().parent.parent
processor = NBProcessor(root / "nbs" / "index.ipynb", procs=FilterDefaults().procs())
processor.process()
notebook = json.loads(json.dumps(processor.nb))
for cell in notebook["cells"]:
    cell.setdefault("metadata", {})
body, _ = MarkdownExporter().from_notebook_node(from_dict(notebook))
head = "<!-- Made from nbs/index.ipynb by `make export`: edit the notebook. -->\n\n"
(root / "README.md").write_text(head + body.strip() + "\n")
