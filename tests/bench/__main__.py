"""``make bench``: measure, print ratios, say which bars are met. ARGS name some of those in BENCHES."""

import sys

from tests.bench import admission, alerts, ingest, memory, queries, webhooks
from tests.bench.report import Figure, print_table, say, write_json
from tests.bench.scale import bench_dir, read_scale

BENCHES = {
    "ingest": ingest.run,
    "queries": queries.run,
    "memory": memory.run,
    "admission": admission.run,
    "webhooks": webhooks.run,
    "alerts": alerts.run,
}


def main() -> None:
    """Run the benches that are named, or all."""
    named = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in named if name not in BENCHES]
    if unknown:
        sys.exit(f"there is no bench {unknown[0]}; there are: {', '.join(BENCHES)}")
    scale, folder = read_scale(), bench_dir()
    figures: list[Figure] = []
    for name in named:
        say(f"{name}:")
        figures += BENCHES[name](scale, folder)
    print_table(figures)
    say(f"\nas JSON: {write_json(figures, folder, scale)}")


if __name__ == "__main__":
    main()
