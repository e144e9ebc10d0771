"""Rules 2, 9 and 10 where they concern imports: what ships, by name, inside the package, and on a CPU."""

import ast
import sys
from collections.abc import Iterator

from golf.recipe.catalogue import Catalogue
from golf.recipe.partfile import Part

SHIPPABLE = ("torch", "numpy", "sentencepiece", "brotli", "zstandard", "constriction", "typing_extensions")
CUDA_ONLY = ("triton", "flash_attn", "flash_attn_interface", "flash_attn_3", "cutlass")

Broken = tuple[int, ast.AST, str, str]


def lint_imports(catalogue: Catalogue, part: Part, tree: ast.Module) -> Iterator[Broken]:
    package = catalogue.package
    optional = {n for node in tree.body if isinstance(node, ast.Try) for n in ast.walk(node)}
    top = set(tree.body)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        relative = isinstance(node, ast.ImportFrom) and node.level > 0
        for name in names:
            inside = name == package or name.startswith(package + ".") or (relative and part.user)
            root = name.partition(".")[0]
            if inside:
                yield from _inside_import(package, node, top)
            elif relative:
                yield 2, node, f"`{ast.unparse(node)}` is a relative import", f"write `from {package}.x import Name`"
            elif root == "golf" or root == package.partition(".")[0]:
                yield (
                    2,
                    node,
                    f"`{name}` does not ship",
                    f"parts import the standard library, {', '.join(SHIPPABLE[:3])}, codecs and {package}",
                )
            elif root == "__future__":
                yield (
                    2,
                    node,
                    "`from __future__` would act on the whole composed file",
                    "write annotations that Python 3.11 evaluates",
                )
            elif root in ("inspect", "linecache"):
                yield (
                    9,
                    node,
                    f"`{root}` reads source text, which a packed file does not have",
                    "sizes come from `os.path.getsize(__file__)`",
                )
            elif root in CUDA_ONLY:
                if node in top and not part.technique:
                    yield (
                        10,
                        node,
                        f"`{root}` is not there on a CPU",
                        "import it in the technique that a slot selects, or under `try … except ImportError: name = None`",
                    )
            elif root not in sys.stdlib_module_names and root not in SHIPPABLE and node not in optional:
                yield (
                    2,
                    node,
                    f"`{root}` is not on the challenge's machine",
                    f"parts import the standard library and {', '.join(SHIPPABLE)}",
                )
        if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names):
            yield 2, node, f"`{ast.unparse(node)}` hides what it brings", "import the names"
    yield from _cycles(catalogue, part, tree)


def _inside_import(package: str, node: ast.Import | ast.ImportFrom, top: set[ast.stmt]) -> Iterator[Broken]:
    text = ast.unparse(node)
    if isinstance(node, ast.Import) or node.module == package:
        yield 2, node, f"`{text}` imports a module", f"import names: `from {package}.x import Name`"
    elif any(a.asname for a in node.names):
        yield 2, node, f"`{text}` renames what it imports", "names are the same in every part: drop the `as`"
    if node not in top:
        yield 2, node, f"`{text}` stands inside a definition", "move it to the top of the file"


def _cycles(catalogue: Catalogue, part: Part, tree: ast.Module) -> Iterator[Broken]:
    for node in tree.body:
        target = node.module.rpartition(".")[2] if isinstance(node, ast.ImportFrom) and node.module else ""
        if target not in catalogue.parts or target == part.stem or target not in {stem for _, stem in part.uses}:
            continue
        seen, todo = set[str](), [target]
        while todo:
            stem = todo.pop()
            if stem == part.stem:
                yield (
                    2,
                    node,
                    f"`{part.stem}` and `{target}` import each other",
                    "move what both need into a third part, or choose it by a slot",
                )
                break
            if stem not in seen and stem in catalogue.parts:
                seen.add(stem)
                todo += [u for _, u in catalogue.parts[stem].uses]
