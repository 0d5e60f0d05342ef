# SPDX-License-Identifier: MIT
"""The matrix of configurations that are killed: cells of it, dealt out by a seed.

With as many cells as an axis has values, each value comes once at least; which values meet is left
to the seed.
"""
from faults_ends import BODY
from faults_machine import Cell
from wires import WIRES

LARGE = 4 << 20

AXES = {
    "wire": WIRES,
    "policy": ("unacked", "unsent", "none"),
    # The way to the clients, and SlowClient= where it does not follow from it.
    "delivery": (("broadcast", "wait"), ("balance", "wait"), ("drop", None),
                 ("broadcast", "disconnect"), ("balance", "disconnect")),
    # All clients, and those by TCP among them.
    "crowd": ((4, 0), (5, 2), (2, 0), (40, 0), (4, 1), (40, 6)),
    "body": (BODY, 300, BODY, LARGE),
    "hold": (False, True, False),
    "answer": (True, False),
    "over": ("veth", "loopback"),
    "congestion": ("cubic", "reno", "bbr"),
}


def _deal(rng, values, count):
    """So many of the values, each as often as any other one, at random."""
    dealt = []
    while len(dealt) < count:
        dealt += rng.sample(values, len(values))
    return dealt[:count]


def congestions():
    """Those that a network namespace may choose."""
    with open("/proc/sys/net/ipv4/tcp_allowed_congestion_control", encoding="ascii") as file:
        return set(file.read().split())


def cells(rng, count, over=None):
    """So many cells; over: only over "veth" or "loopback"."""
    ways = tuple(name for name in AXES["congestion"] if name in congestions())
    axes = {**AXES, "congestion": ways or (None,)}
    if over:
        axes["over"] = (over,)
    columns = [_deal(rng, values, count) for values in axes.values()]
    return [_cell(**dict(zip(axes, row))) for row in zip(*columns)]


def _cell(delivery, crowd, body, wire, **rest):
    """Many clients with large messages would take a machine of their own."""
    (way, slow), (clients, tcp) = delivery, crowd
    if clients > 10:
        body = min(body, BODY)
    return Cell(way=way, slow=slow, clients=clients, tcp=tcp, wire=wire,
                body=min(body, wire.most), **rest)
