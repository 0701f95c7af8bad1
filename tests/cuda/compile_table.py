"""Every kernel for every target, compiled without a GPU: what ptxas says, as the table of docs/kernels.md.

    python -m tests.cuda.compile_table [FILE.cu ...]

writes the table anew, or the rows of these files only. Say in the change why a number rose.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from math import prod
from pathlib import Path

from tests.cuda.nvrtc import Kernel, compile_kernels, version
from xpnn.cuda.plan import Plan
from xpnn.cuda.source import joined
from xpnn.cuda.warmup import instantiations

PAGE = Path(__file__).parents[2] / "docs" / "kernels.md"
TARGETS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120")
TIMED = "sm_90a"

# Of an SM, for all targets alike: registers, and what one thread's registers are rounded up to.
SM_REGISTERS, REGISTER_STEP = 65536, 8
SM_THREADS = {
    "sm_75": 1024,
    "sm_80": 2048,
    "sm_86": 1536,
    "sm_89": 1536,
    "sm_90a": 2048,
    "sm_100": 2048,
    "sm_120": 1536,
}
STATIC_SHARED = 48 * 1024

_BEGIN, _END = "<!-- compile table: begin -->", "<!-- compile table: end -->"
_CELL = re.compile(r"(\d+)(?: \+ (\d+) B)?")


plans = functools.cache(instantiations)


def compiled(target: str) -> dict[str, Kernel]:
    """Each instantiation for one target."""
    files = sorted({plan.file for plan in plans().values()})
    return {entry: kernel for file in files for entry, kernel in compiled_file(file, target).items()}


@functools.cache
def compiled_file(file: str, target: str) -> dict[str, Kernel]:
    """Each instantiation of a kernel file for one target; they share a program, for the sake of time."""
    own = [plan for plan in plans().values() if plan.file == file]
    proofs = "".join({plan.layout.assertions: None for plan in own})
    return compile_kernels(joined(file) + proofs, [plan.entry for plan in own], target)[0]


def blocks_per_sm(plan: Plan, kernel: Kernel, target: str) -> int:
    """How many blocks of a plan an SM holds, as its registers and its threads allow."""
    threads = prod(plan.block)
    registers = -(-kernel.registers // REGISTER_STEP) * REGISTER_STEP
    return min(SM_REGISTERS // (registers * threads), SM_THREADS[target] // threads)


def read() -> tuple[str, dict[str, dict[str, Kernel]]]:
    """(the compiler's version, entry -> target -> Kernel) of the page."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    table = rest.partition(_END)[0]
    made_by = re.search(r"NVRTC (\d+\.\d+)", table)
    assert made_by is not None
    return made_by[1], dict(_rows(table))


def _rows(table: str) -> Iterator[tuple[str, dict[str, Kernel]]]:
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith("`"):
            shared = int(cells[len(TARGETS) + 1])
            yield cells[0].strip("`"), dict(zip(TARGETS, (_kernel(cell, shared) for cell in cells[1:]), strict=False))


def _kernel(cell: str, shared: int) -> Kernel:
    numbers = _CELL.fullmatch(cell)
    assert numbers is not None, cell
    return Kernel(int(numbers[1]), int(numbers[2] or 0), shared)


def written(rows: dict[str, str]) -> Iterator[str]:
    """The lines of the table; rows: by entry."""
    yield f"NVRTC {version()}. Registers of a thread, and bytes spilled where there are any; bytes of static shared memory;"
    yield f"blocks that an SM of {TIMED} holds; seconds to compile the instantiation alone for {TIMED}, where this was written."
    for file in sorted({plan.file for plan in plans().values()}):
        yield ""
        yield f"| {file} | {' | '.join(TARGETS)} | shared | blocks | s |"
        yield f"|---|{'---|' * (len(TARGETS) + 3)}"
        yield from (rows[plan.entry] for plan in plans().values() if plan.file == file)


def _measured(file: str) -> dict[str, str]:
    """The rows of a kernel file, by entry."""
    return {plan.entry: _row(plan) for plan in plans().values() if plan.file == file}


def _row(plan: Plan) -> str:
    kernels = {target: compiled_file(plan.file, target)[plan.entry] for target in TARGETS}
    cells = [f"{k.registers} + {k.spills} B" if k.spills else str(k.registers) for k in kernels.values()]
    shared = max(kernel.shared for kernel in kernels.values())
    seconds = compile_kernels(plan.source, [plan.entry], TIMED)[1]
    blocks = blocks_per_sm(plan, kernels[TIMED], TIMED)
    return f"| `{plan.entry}` | {' | '.join(cells)} | {shared} | {blocks} | {seconds:.2f} |"


def main(files: Sequence[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    table, _, after = rest.partition(_END)
    rows = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    wanted = {plan.file for plan in plans().values() if not files or plan.file in files or plan.entry not in rows}
    with ProcessPoolExecutor() as pool:
        for found in pool.map(_measured, sorted(wanted)):
            rows |= found
    PAGE.write_text("\n".join([before + _BEGIN, *written(rows), _END + after]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
