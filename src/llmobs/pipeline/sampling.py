"""Which runs are kept: a pure function of the run id, so that all parts of a run agree."""

from hashlib import blake2b

__all__ = ["is_sampled"]


def is_sampled(run_id: str, rate: float) -> bool:
    """
    Tell whether the run is in the sample.

    The same id gives the same answer in every process, and a run kept at one rate is kept at
    every higher one.

    Args:
        run_id: The run's id; also ids from outside, so it is hashed.
        rate: Share of runs to keep, 0 to 1.
    """
    if rate >= 1.0:
        return True
    if rate <= 0.0:
        return False
    digest = blake2b(str(run_id).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < rate * 2**64
