"""What was measured, and the table at the end."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """The median of the rounds of one case over one way. ``of_direct``: its rate by the direct one's."""

    case: str
    way: str
    requests_per_s: float
    mb_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float | None
    failed: int
    of_direct: float = 1.0


def print_ratios(lines: Sequence[Measured], way: str, others: Sequence[str]) -> None:
    """Print how many times the rate of each of the others this way had, a line per load."""
    rates = {(line.case, line.way): line.requests_per_s for line in lines}
    print(f"\n{f'{way}, times the rate of':<26}" + "".join(f"{other:>27}" for other in others))
    for case in dict.fromkeys(line.case for line in lines):
        times = [rates[case, way] / rates[case, other] if rates[case, other] else 0.0 for other in others]
        print(f"  {case:<24}" + "".join(f"{one:>27.2f}" for one in times))


def print_table(lines: Sequence[Measured]) -> None:
    """Print it, one block per load."""
    print(f"{'':<26}{'req/s':>10}{'of direct':>11}{'MB/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>9}{'failed':>8}")
    case = ""
    for line in lines:
        if line.case != case:
            case = line.case
            print(case)
        used = f"{line.cpu_us:9.0f}" if line.cpu_us is not None else f"{'-':>9}"
        print(
            f"  {line.way:<24}{line.requests_per_s:>10.1f}{line.of_direct:>11.3f}{line.mb_per_s:>9.1f}"
            f"{line.p50_ms:>9.2f}{line.p99_ms:>9.2f}{used}{line.failed:>8}"
        )
    print("CPU us: processor time per answer of the way's own processes; nginx's ways include the archive's share.")
