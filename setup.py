"""One job: ship templates/ and usecases/ inside the wheel, as dlmine/share/. Everything else stands in pyproject.toml."""
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = {'templates': '*.ipynb', 'usecases': '*.y*ml'}  # folder at the top of the repository, and what of it is shipped


class BuildWithShare(build_py):
    "The usual build, and then the shipped files; `core.shipped` finds them there."

    def run(self):
        super().run()
        if not self.editable_mode: self.copy_shared()

    def copy_shared(self):
        "Copy the shipped files into the package that is being built."
        top, share = Path(__file__).resolve().parent, Path(self.build_lib)/'dlmine'/'share'
        shutil.rmtree(share, ignore_errors=True)
        for folder, pattern in SHIPPED.items():
            for source in sorted((top/folder).rglob(pattern)):
                if '.ipynb_checkpoints' in source.parts: continue
                target = share/folder/source.relative_to(top/folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


setup(cmdclass={'build_py': BuildWithShare})
