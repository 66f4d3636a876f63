"""The container task: sums up a session's cleaned flights per day and carrier, from S3 to S3.

It may run twice for one session: the second run writes what the first one wrote, in its place.
"""

from __future__ import annotations

import csv

import handover
import transform


def main() -> None:
    """Read the session's flights, write its summary, say so."""
    session = handover.session_id()
    with handover.reading(handover.flights_key(session)) as file:
        groups = transform.summarise(csv.DictReader(file))
    target = handover.summary_key(session)
    with handover.replacing(target) as file:
        transform.write(groups, file)
    print(f"wrote s3://{handover.bucket()}/{target}")


if __name__ == "__main__":
    main()
