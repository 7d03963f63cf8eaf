"""Keys made, blocked and unblocked while everything breaks, and how fast the fleet learns of it."""

import asyncio
import dataclasses
import hashlib
import random
import statistics
import time

import load

KEYS_MAX = 40
# A pod that has not beaten for 5 s is taken for dead, so nobody waits for it; it is judged again when it has been let
# alone for longer than that.
CLEAN_SECONDS = 8


@dataclasses.dataclass
class Key:
    secret: str
    is_toggled: bool = False  # blocked and unblocked by the run, so that a refusal says nothing

    @property
    def digest(self):
        return hashlib.sha256(self.secret.encode()).hexdigest()


async def generate(pod, is_toggled=False, wait=False):
    """`None`: the pod refused or did not answer. The second value: whether the fleet has acknowledged."""
    answer = await pod.admin("POST", "/key/generate" + ("?wait=fleet" if wait else ""), {})
    secret = (answer.json or {}).get("key") if answer.status == 200 else None
    return (Key(secret, is_toggled) if secret else None), answer.headers.get("x-martlet-fleet") == "acknowledged"


class Administrator:
    def __init__(self, books, fleet, keys, seed):
        self.books = books
        self.fleet = fleet
        self.keys = keys
        self.chance = random.Random(f"{seed}:administrator")
        self.toggled = None
        self.changes = 0
        self.refused = 0
        self.acknowledged = 0
        self.violations = []

    async def run(self, is_over):
        while not is_over.is_set():
            await asyncio.sleep(self.chance.uniform(0.1, 0.7))
            pod = self.chance.choice(self.fleet)
            if self.chance.random() < 0.25 and len(self.keys) < KEYS_MAX:
                await self._make(pod)
            else:
                await self._toggle(pod)

    async def _make(self, pod):
        key, _ = await generate(pod, wait=self.chance.random() < 0.5)
        if key is None:
            self.refused += 1
            return
        self.changes += 1
        other = self.chance.choice(self.fleet)
        was_clean = other.is_clean(CLEAN_SECONDS)
        record = await load.call(self.books, other, key, False, is_quick=True)
        if record.status in (401, 403):
            self.violations.append(f"a key made on {pod.name} was refused by {other.name} (clean: {was_clean})")
        self.keys.append(key)

    async def _toggle(self, pod):
        """Blocks or unblocks; once the fleet has acknowledged, pods that were let alone must obey at once."""
        blocks = self.chance.random() < 0.5
        began = time.monotonic()
        answer = await pod.admin(
            "POST", f"/key/{'block' if blocks else 'unblock'}?wait=fleet", {"key": self.toggled.secret}
        )
        if answer.status != 200:
            self.refused += 1
            return
        self.changes += 1
        if answer.headers.get("x-martlet-fleet") != "acknowledged":
            return
        self.acknowledged += 1
        for other in self.fleet:
            if other.clean_since > began or not other.is_clean(CLEAN_SECONDS):
                continue
            record = await load.call(self.books, other, self.toggled, False, is_quick=True)
            is_refused = record.status in (401, 403)
            if record.status and is_refused != blocks and record.status != 503 and other.is_clean(CLEAN_SECONDS):
                self.violations.append(
                    f"{'block' if blocks else 'unblock'} on {pod.name} was acknowledged, but {other.name} answered "
                    f"{record.status}"
                )


async def measure(books, fleet, key, rounds):
    """Milliseconds from a block's answer to its first refusal, for every other pod, and of each `?wait=fleet`. Raises
    nothing; a pod that has not obeyed after 5 s counts as 5,000."""
    results, waits = [], []
    for number in range(rounds):
        first = fleet[number % len(fleet)]
        asked = time.monotonic()
        answer = await first.admin("POST", "/key/unblock?wait=fleet", {"key": key.secret})
        is_acknowledged = answer.headers.get("x-martlet-fleet") == "acknowledged"
        waits.append((time.monotonic() - asked) * 1000 if is_acknowledged else 5000.0)
        answer = await first.admin("POST", "/key/block", {"key": key.secret})
        began = time.monotonic()
        if answer.status == 200:
            others = [pod for pod in fleet if pod is not first]
            results += await asyncio.gather(*(_until_refused(books, pod, key, began) for pod in others))
    return results, waits


async def _until_refused(books, pod, key, began):
    while time.monotonic() - began < 5:
        asked = time.monotonic()
        record = await load.call(books, pod, key, False, is_quick=True)
        if record.status in (401, 403):
            return (asked - began) * 1000
    return 5000.0


def summary(milliseconds):
    if not milliseconds:
        return "none measured"
    return f"median {statistics.median(milliseconds):.0f} ms, most {max(milliseconds):.0f} ms of {len(milliseconds)}"
