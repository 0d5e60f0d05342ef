# SPDX-License-Identifier: MIT
"""The judge of the fault machine: what arrived, against what was sent and what ftcpd promises.

It knows nothing of sockets: it reads lists of (sender, number) pairs, one list a connection and a
client, and so can be judged itself (faults_test.py).
"""

# What the upstream's numbered messages have as their sender.
UPSTREAM = 0

SHOWN = 12  # findings in words; all are counted


class ConnectionRecord:
    """What one connection brought to the upstream's kernel, and what the upstream sent on it.

    floor is what the books called delivered before it was made. told: ftcpd's kernel got the
    acknowledgement of all of it before the end. clean: the upstream ended it by FIN behind its
    last message and ftcpd read to that end, so that all of `sent` must be there.
    """

    def __init__(self):
        self.got, self.sent = [], []
        self.floor, self.told, self.clean, self.torn = 0, False, False, None


class ClientRecord:
    """What one client sent whole, and what it received.

    steady: there from before the first connection until the end, and it kept up.
    lasting: it came later, and was there until the end.
    cut_off: ftcpd ended it, so that what it sent last may not have been taken, but for the first
    `taken` messages. ours: the machine ended it.
    """

    def __init__(self, ident, steady=False):
        self.ident, self.steady = ident, steady
        self.whole, self.got, self.taken = 0, [], 0
        self.cut_off, self.torn, self.lasting, self.ours = False, None, False, False


class Verdict:
    """Counts of what is wrong, the first of it in words, and the allowed repeats."""

    KINDS = ("lost", "torn", "doubled", "reordered", "books")

    def __init__(self):
        self.counts = dict.fromkeys(self.KINDS, 0)
        self.words = []
        self.up = self.down = self.repeats = self.missing = 0

    def find(self, kind, text, count=1):
        self.counts[kind] += count
        if len(self.words) < SHOWN:
            self.words.append(f"{kind}: {text}")

    @property
    def good(self):
        return not any(self.counts.values())


class Replay:
    """Walks the connections in order, and keeps the one sequence that the out log must have had.

    With Resend=unacked each connection brings a run of that sequence without a gap: it begins at
    or before the place where the last one ended, never before what had been delivered, and gets to
    new messages only when all repeats are done.
    """

    def __init__(self, verdict, may_repeat):
        self.verdict, self.may_repeat = verdict, may_repeat
        self.order, self.index = [], {}
        self.told = 0  # ftcpd knew that these were delivered

    def walk(self, number, record):
        before = None
        for message in record.got:
            at = self.index.get(message)
            if at is None:
                at = len(self.order)
                self.index[message] = at
                self.order.append(message)
                if before is not None and before != at - 1:
                    self.verdict.find(
                        "reordered", f"connection {number}: new {message} within a replay"
                    )
            else:
                self.repeat(number, record, message, at, before)
            before = at
        if record.told:
            self.told = len(self.order)

    def repeat(self, number, record, message, at, before):
        where = f"connection {number}: {message}"
        if not self.may_repeat:
            self.verdict.find("doubled", f"{where} came again, which Resend= forbids")
        elif at < max(record.floor, self.told):
            self.verdict.find(
                "doubled",
                f"{where} came again: number {at}, {max(record.floor, self.told)} were delivered",
            )
        elif before is None or at == before + 1:
            self.verdict.repeats += 1
        elif at <= before:
            self.verdict.find("doubled", f"{where} came twice on one connection")
        else:
            self.verdict.find("reordered", f"{where} stands behind number {before}, not {at - 1}")


def _per_client(verdict, order):
    """First arrivals of each client, which must be in its order."""
    numbers = {}
    for sender, number in order:
        here = numbers.setdefault(sender, [])
        if here and number < here[-1]:
            verdict.find("reordered", f"client {sender}: {number} came behind {here[-1]}")
        here.append(number)
    return numbers


def _missing(verdict, numbers, clients):
    """Messages that were sent and are not there: {client: [numbers]}, without a cut-off tail."""
    missing = {}
    for client in clients:
        there = set(numbers.pop(client.ident, ()))
        whole = client.whole
        if client.cut_off:
            whole = max(max(there, default=-1) + 1, client.taken)
        stray = [number for number in there if number >= client.whole]
        if stray:
            verdict.find("torn", f"client {client.ident}: {stray[0]} was never sent whole")
        gone = [number for number in range(whole) if number not in there]
        if gone:
            missing[client.ident] = gone
    for sender in numbers:
        verdict.find("torn", f"messages of client {sender}, whom nobody knows")
    return missing


def judge_up(verdict, connections, clients, policy, not_resent):
    """The way to the upstream. policy is Resend=; not_resent is what the books gave up for it."""
    replay = Replay(verdict, policy == "unacked")
    for number, record in enumerate(connections):
        if len(replay.order) < record.floor:
            verdict.find(
                "lost",
                f"before connection {number} the books say {record.floor} were delivered, "
                f"{len(replay.order)} were in the upstream's kernel",
                record.floor - len(replay.order),
            )
        replay.walk(number, record)
        if record.torn:
            verdict.find("torn", f"connection {number}: {record.torn}")
    missing = _missing(verdict, _per_client(verdict, replay.order), clients)
    verdict.missing = sum(len(gone) for gone in missing.values())
    verdict.up += len(replay.order)
    if verdict.missing > not_resent:
        verdict.find(
            "lost",
            f"{verdict.missing} are missing, the books gave up {not_resent}; of client "
            + "; ".join(f"{ident}: {gone[:5]}" for ident, gone in list(missing.items())[:5]),
            verdict.missing - not_resent,
        )


def _of_all(verdict, clients, received, given_up):
    """Without a steady client: what any client got."""
    got = sorted({message for client in clients for message in client.got})
    for client in clients:
        _order_of(verdict, client.got)
    if received is not None and not 0 <= received - len(got) <= given_up:
        verdict.find(
            "lost",
            f"ftcpd received {received}, its clients got {len(got)}, {given_up} are given up",
            abs(received - len(got)),
        )
    return got


def _reference(verdict, clients, received, given_up):
    """The sequence that all must have seen: that of a steady client."""
    steady = [client for client in clients if client.steady]
    if not steady:
        return _of_all(verdict, clients, received, given_up)
    longest = max(steady, key=lambda client: len(client.got))
    for client in steady:
        if client.got != longest.got:
            verdict.find(
                "lost",
                f"client {client.ident} got {len(client.got)} messages, client "
                f"{longest.ident} {len(longest.got)}, both there all the time",
                max(1, len(longest.got) - len(client.got)),
            )
    if received is not None and len(longest.got) != received:
        verdict.find(
            "lost", f"ftcpd received {received}, its clients got {len(longest.got)}",
            abs(received - len(longest.got)),
        )
    return longest.got


def _order_of(verdict, reference):
    last = -1
    for sender, number in reference:
        if sender != UPSTREAM:
            verdict.find("torn", f"a client got a message of client {sender}")
        if number == last:
            verdict.find("doubled", f"clients got {number} twice")
        elif number < last:
            verdict.find("reordered", f"clients got {number} behind {last}")
        last = number


def _prefixes(verdict, connections, got, given_up=0):
    """Of each connection the clients got the first messages, without a gap but for those that are
    given up."""
    seen, gaps = set(got), 0
    for number, record in enumerate(connections):
        there = [message in seen for message in record.sent]
        count = there.index(False) if False in there else len(there)
        while count < len(there) and gaps < given_up and any(there[count:]):
            gaps += 1
            count = there.index(False, count + 1) if False in there[count + 1 :] else len(there)
        if any(there[count:]):
            verdict.find("lost", f"connection {number}: a gap behind its message {count}")
        elif record.clean and count < len(there):
            verdict.find(
                "lost",
                f"connection {number} ended by FIN: {len(there) - count} of the messages before "
                "it were not passed on",
                len(there) - count,
            )


def _runs(verdict, clients, reference):
    """Whoever came or went in between got a run of it without a gap."""
    index = {message: at for at, message in enumerate(reference)}
    for client in clients:
        before = None
        for message in client.got:
            at = index.get(message)
            if at is None:
                verdict.find("lost", f"client {client.ident} alone got {message}")
                continue
            if before is not None and at != before + 1:
                if at == before:
                    verdict.find("doubled", f"client {client.ident}: {message} came twice")
                elif at < before:
                    verdict.find("reordered", f"client {client.ident}: {message} came too late")
                else:
                    verdict.find("lost", f"client {client.ident} has a gap before {message}")
            before = at
        if client.lasting and not client.cut_off and before not in (None, len(reference) - 1):
            verdict.find("lost", f"client {client.ident}, there until the end, has not the last "
                         f"{len(reference) - 1 - before}")


def judge_down(verdict, connections, clients, received=None, given_up=0):
    """The way to the clients, broadcast. received is what ftcpd says it received, given_up what
    its books of this way dropped."""
    for client in clients:
        if client.torn:
            verdict.find("torn", f"client {client.ident}: {client.torn}")
    verdict.down += sum(len(client.got) for client in clients)
    reference = _reference(verdict, clients, received, given_up)
    _order_of(verdict, reference)
    _prefixes(verdict, connections, [number for _, number in reference], given_up)
    _runs(verdict, [client for client in clients if not client.steady], reference)


def judge_drop(verdict, connections, clients, _received=None, _given_up=0):
    """SlowClient=drop: whoever was slow has gaps, but nothing comes twice, late or from nowhere."""
    sent = {number for record in connections for number in record.sent}
    for client in clients:
        if client.torn:
            verdict.find("torn", f"client {client.ident}: {client.torn}")
        _order_of(verdict, client.got)
        stray = next((number for _, number in client.got if number not in sent), None)
        if stray is not None:
            verdict.find("torn", f"client {client.ident} got {stray}, which was never sent whole")
    verdict.down += sum(len(client.got) for client in clients)


def judge_balance(verdict, connections, clients, received=None, given_up=0):
    """ToClients=balance: each message at exactly one client, and each client's in order.

    What somebody leaves goes to the others, who may have newer ones already: where guests came and
    went, nothing is said of the order.
    """
    seen, nobody_left = {}, all(client.steady for client in clients)
    for client in clients:
        if client.torn:
            verdict.find("torn", f"client {client.ident}: {client.torn}")
        last = -1
        for sender, number in client.got:
            if sender != UPSTREAM:
                verdict.find("torn", f"a client got a message of client {sender}")
            if number in seen:
                verdict.find("doubled", f"{number} at clients {seen[number]} and {client.ident}")
            if number < last and nobody_left:
                verdict.find("reordered", f"client {client.ident}: {number} behind {last}")
            seen[number] = client.ident
            last = number
    verdict.down += len(seen)
    if received is not None and not 0 <= received - len(seen) <= given_up:
        verdict.find("lost", f"ftcpd received {received}, the clients got {len(seen)}, "
                     f"{given_up} are given up")
    _prefixes(verdict, connections, seen, given_up)
