# SPDX-License-Identifier: MIT
"""The delivery promises under faults, briefly (./dev soak: for longer), and the judge judged."""
import unittest

import harness
from faults import lay_cable, run
from faults_judge import (
    ClientRecord,
    ConnectionRecord,
    Verdict,
    judge_balance,
    judge_down,
    judge_drop,
    judge_up,
)
from faults_machine import Cell
from soak import Report
from wires import WIRES

CUTS = harness.often(15, 300)


class Judge(unittest.TestCase):
    """What it is told here is wrong in one way each, and it must say so."""

    def setUp(self):
        self.verdict = Verdict()

    def connection(self, *numbers, floor=0, told=False, sent=(), clean=False):
        record = ConnectionRecord()
        record.got = [(1, number) for number in numbers]
        record.floor, record.told = floor, told
        record.sent, record.clean = list(sent), clean
        return record

    def client(self, whole=0, got=(), ident=1, steady=False, **more):
        record = ClientRecord(ident, steady)
        record.whole, record.got = whole, [(0, number) for number in got]
        vars(record).update(more)
        return record

    def up(self, *connections, whole=6, policy="unacked", not_resent=0):
        judge_up(self.verdict, connections, [self.client(whole)], policy, not_resent)

    def down(self, *clients, connections=(), received=None):
        judge_down(self.verdict, connections, clients, received)

    def found(self, *kinds):
        self.assertEqual(
            {kind for kind, count in self.verdict.counts.items() if count}, set(kinds),
            self.verdict.words,
        )

    def test_a_replay_of_what_was_not_acknowledged_is_good(self):
        self.up(self.connection(0, 1, 2), self.connection(1, 2, 3, 4, 5, floor=1))
        self.found()
        self.assertEqual(self.verdict.repeats, 2)

    def test_a_missing_message_is_lost(self):
        self.up(self.connection(0, 1), self.connection(3, 4, 5))
        self.found("lost")

    def test_what_the_books_call_delivered_and_is_not_there_is_lost(self):
        self.up(self.connection(0, 1), self.connection(2, 3, 4, 5, floor=3))
        self.found("lost")

    def test_a_message_that_was_delivered_must_not_come_again(self):
        self.up(self.connection(0, 1, 2), self.connection(1, 2, 3, 4, 5, floor=2))
        self.found("doubled")

    def test_what_ftcpd_was_told_of_must_not_come_again(self):
        self.up(self.connection(0, 1, 2, told=True), self.connection(2, 3, 4, 5))
        self.found("doubled")

    def test_no_message_comes_twice_on_one_connection(self):
        self.up(self.connection(0, 1, 1, 2, 3, 4, 5))
        self.found("doubled")

    def test_without_unacked_no_message_comes_again(self):
        for policy in ("unsent", "none"):
            self.setUp()
            self.up(self.connection(0, 1, 2), self.connection(2, 3, 4, 5), policy=policy)
            self.found("doubled")

    def test_without_unacked_the_books_tell_how_many_may_be_missing(self):
        parts = self.connection(0, 1), self.connection(4, 5)
        self.up(*parts, policy="unsent", not_resent=2)
        self.found()
        self.up(*parts, policy="unsent", not_resent=1)
        self.found("lost")

    def test_a_new_message_before_the_replay_is_over_is_reordered(self):
        self.up(self.connection(0, 1, 2), self.connection(1, 3, 2, 4, 5))
        self.assertGreater(self.verdict.counts["reordered"], 0)

    def test_a_replay_with_a_gap_is_reordered(self):
        self.up(self.connection(0, 1, 2, 3), self.connection(0, 1, 3, 4, 5))
        self.assertGreater(self.verdict.counts["reordered"], 0)

    def test_messages_of_one_client_out_of_order_are_reordered(self):
        self.up(self.connection(0, 2, 1, 3, 4, 5))
        self.found("reordered")

    def test_a_message_that_was_never_sent_whole_is_torn(self):
        self.up(self.connection(0, 1, 2, 3, 4, 5, 6))
        self.found("torn")

    def test_clients_that_were_there_all_the_time_saw_the_same(self):
        self.down(self.client(got=(1, 2, 5), steady=True), self.client(got=(1, 2, 5), steady=True))
        self.found()
        self.down(self.client(got=(1, 2, 5), steady=True), self.client(got=(1, 5), steady=True))
        self.found("lost")

    def test_a_guest_saw_a_part_without_a_gap(self):
        steady = self.client(got=(1, 2, 5, 6), steady=True)
        self.down(steady, self.client(got=(2, 5), ident=2))
        self.found()
        self.down(steady, self.client(got=(2, 6), ident=2))
        self.found("lost")

    def test_a_client_that_came_later_and_stayed_saw_all_to_the_end(self):
        steady = self.client(got=(1, 2, 5, 6), steady=True)
        self.down(steady, self.client(got=(2, 5, 6), ident=2, lasting=True))
        self.found()
        self.down(steady, self.client(got=(2, 5), ident=2, lasting=True))
        self.found("lost")

    def test_where_nobody_stayed_what_no_client_has_is_in_the_books(self):
        left, came = self.client(got=(1, 2)), self.client(got=(5, 6), ident=2)
        judge_down(self.verdict, (), [left, came], received=5, given_up=1)
        self.found()
        judge_down(self.verdict, (), [left, came], received=6, given_up=1)
        self.found("lost")

    def test_of_a_client_that_was_ended_all_is_there_that_surely_was_taken(self):
        parts = [self.connection(0, 1)]
        judge_up(self.verdict, parts, [self.client(5, cut_off=True)], "unacked", 0)
        self.found()
        judge_up(self.verdict, parts, [self.client(5, cut_off=True, taken=3)], "unacked", 0)
        self.found("lost")

    def test_a_gap_within_a_connection_is_as_long_as_the_books_say(self):
        clients = [self.client(got=(1, 4), steady=True)]
        judge_balance(self.verdict, [self.connection(sent=(1, 2, 3, 4))], clients, 4, given_up=2)
        self.found()
        judge_balance(self.verdict, [self.connection(sent=(1, 2, 3, 4))], clients, 3, given_up=1)
        self.found("lost")

    def test_clients_get_no_message_twice_or_late(self):
        self.down(self.client(got=(1, 1, 2), steady=True))
        self.found("doubled")
        self.setUp()
        self.down(self.client(got=(2, 1), steady=True))
        self.found("reordered")

    def test_all_that_came_before_a_fin_is_passed_on(self):
        steady = self.client(got=(1, 2), steady=True)
        self.down(steady, connections=[self.connection(sent=(1, 2, 3))])
        self.found()
        self.down(steady, connections=[self.connection(sent=(1, 2, 3), clean=True)])
        self.found("lost")

    def test_a_gap_within_a_connection_is_lost(self):
        steady = self.client(got=(1, 3), steady=True)
        self.down(steady, connections=[self.connection(sent=(1, 2, 3))])
        self.found("lost")

    def test_clients_got_all_that_ftcpd_received(self):
        self.down(self.client(got=(1, 2), steady=True), received=3)
        self.found("lost")

    def test_balanced_messages_are_at_one_client_each(self):
        clients = [self.client(got=(1, 3), steady=True), self.client(ident=2, steady=True)]
        clients[1].got.append((0, 2))
        judge_balance(self.verdict, [self.connection(sent=(1, 2, 3))], clients, 3)
        self.found()
        clients[1].got.append((0, 3))
        judge_balance(self.verdict, [], clients, 3)
        self.found("doubled")
        self.setUp()
        judge_balance(self.verdict, [], [self.client(got=(2, 1), steady=True)])
        self.found("reordered")

    def test_where_messages_are_dropped_the_others_come_once_and_in_order(self):
        parts = [self.connection(sent=(1, 2, 3))]
        judge_drop(self.verdict, parts, [self.client(got=(1, 3))])
        self.found()
        judge_drop(self.verdict, parts, [self.client(got=(3, 1))])
        self.found("reordered")
        self.setUp()
        judge_drop(self.verdict, parts, [self.client(got=(1, 1))])
        self.found("doubled")


class Frames(unittest.TestCase):
    """Of every kind: what is put into frames comes out, and what is torn is noticed."""

    def test_messages_and_heartbeats_come_out_as_they_went_in(self):
        for wire in WIRES:
            with self.subTest(wire):
                size = min(300, wire.most)
                message = harness.stamp(7, 1, bytes(range(256))[:size] + bytes(size)[256:])
                buffer = bytearray(wire.beat + wire.wrap(message) + wire.wrap(message)[:-1])
                self.assertEqual(wire.take(buffer, size), b"")
                self.assertEqual(wire.take(buffer, size), message)
                self.assertIsNone(wire.take(buffer, size))

    def test_a_byte_too_few_is_noticed(self):
        for wire in WIRES:
            with self.subTest(wire), self.assertRaises(AssertionError):
                frame = wire.wrap(harness.stamp(7, 1, b"body"))
                buffer = bytearray(frame[:-5] + frame[-4:] + 30 * frame)
                while message := wire.take(buffer, 20):
                    harness.unstamp(message)


class UnderFaults(unittest.TestCase):
    """Every kind of fault at least once, for each Resend=."""

    @classmethod
    def setUpClass(cls):
        cls.cable, cls.skip = lay_cable()
        cls.seed, cls.report = harness.seed(), Report()
        print(f"seed {cls.seed}")

    @classmethod
    def tearDownClass(cls):
        if cls.cable:
            cls.cable.close()
        print(cls.report.text(cls.skip))

    def check(self, policy, way="broadcast"):
        machine, verdict = run(self.seed, Cell(policy, way), CUTS, self.cable, self.skip)
        self.report.add(machine, verdict)
        self.assertTrue(verdict.good, "\n".join(verdict.words))
        self.assertGreaterEqual(machine.disconnects(), CUTS)
        self.assertGreater(verdict.up, 100)
        self.assertGreater(machine.watch.looks, 50)

    def test_with_unacked_all_is_there_and_only_what_was_unacknowledged_comes_again(self):
        self.check("unacked")

    def test_with_unsent_nothing_comes_twice_and_what_is_missing_is_in_the_books(self):
        self.check("unsent")

    def test_with_none_nothing_comes_twice_and_what_is_missing_is_in_the_books(self):
        self.check("none")

    def test_balanced_messages_are_at_exactly_one_client(self):
        self.check("unacked", "balance")

    def test_clients_whose_oldest_messages_are_dropped_get_the_others_once_and_in_order(self):
        self.check("unacked", "drop")

    def test_every_kind_of_fault_can_be_made_here(self):
        if self.skip:
            self.skipTest("; ".join(f"{kind}: {why}" for kind, why in self.skip.items()))


if __name__ == "__main__":
    harness.main()
