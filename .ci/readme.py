"""README.md from nbs/index.ipynb: its prose, code and saved outputs as Markdown; hidden cells stay out."""
import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

root = Path(__file__).resolve().parent.parent
notebook = nbformat.read(root / "nbs" / "index.ipynb", as_version=4)
notebook.cells = [cell for cell in notebook.cells if not cell.source.lstrip().startswith("#| hide")]
body, _ = MarkdownExporter().from_notebook_node(notebook)
body = body.replace("](images/", "](nbs/images/").replace("](../", "](")
body = re.sub(r"\n{3,}", "\n\n", body).strip()
(root / "README.md").write_text(f"<!-- Made from nbs/index.ipynb by `make export`: edit the notebook. -->\n\n{body}\n")
