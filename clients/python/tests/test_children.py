"""Many agents in one process: an identity for each, by its own name for it, and how each of them ends."""

from __future__ import annotations

import unittest

from authority import API, control, identity, instance_of, stop, token, until
from test_tls import Echo, get, serve

import writ


def status_of(made: writ.Identity) -> str:
    status: str = control("cli", "instance", "show", instance_of(made))["status"]
    return status


class Orchestrator(unittest.TestCase):
    def crew(self) -> writ.Identity:
        return identity(self, "crew", "service")

    def refused(self, children: writ.Children, code: str, **asked: str) -> None:
        with self.subTest(asked), self.assertRaises(writ.WritError) as refused:
            children.start(**{"agent": "planner", **asked})  # type: ignore[arg-type]
        self.assertEqual(refused.exception.code, code)

    def test_each_speaks_for_itself_and_renews_and_stops_by_itself(self) -> None:
        children = writ.children_of(self.crew())
        self.addCleanup(children.close)
        one, two = (children.start(agent="planner", reference=f"trip-{number}") for number in (1, 2))
        self.assertNotEqual(one.spiffe_id, two.spiffe_id)
        self.assertIs(children.start(agent="planner", reference="trip-1"), one)
        db = identity(self, "db", "service")
        port = serve(self, db.protect, Echo, allow="agent/planner/*")
        for each in (one, two):
            self.assertEqual(get(port, each.client_context(allow="service/db/*")), each.credential.serial)
        before = one.credential
        self.assertNotEqual(one.renew().serial, before.serial)
        self.assertEqual(get(port, one.client_context(allow="service/db/*")), one.credential.serial)
        one.stop()
        self.assertEqual(status_of(one), "stopped")
        self.assertIsNone(children.get("trip-1"))
        self.refused(children, "revoked", reference="trip-1")
        self.assertEqual(status_of(two), "active")
        two.renew()

    def test_a_lost_answer_is_asked_for_again(self) -> None:
        crew = self.crew()
        before = writ.children_of(crew)
        one = before.start(agent="planner", reference="trip-3")
        before.close()
        again = writ.children_of(crew).start(agent="planner", reference="trip-3")
        self.assertEqual(again.spiffe_id, one.spiffe_id)
        self.assertNotEqual(again.credential.serial, one.credential.serial)
        self.refused(before, "unavailable", reference="trip-4")

    def test_whom_no_entry_names_is_not_let_in(self) -> None:
        children = writ.children_of(self.crew())
        self.addCleanup(children.close)
        token("critic")
        children.start(agent="planner", reference="trip-5")
        self.refused(children, "denied", agent="critic", reference="trip-6")
        self.refused(children, "denied", reference="task-1")
        self.refused(children, "denied", reference="trip-7", workflow="billing")
        self.refused(children, "conflict", agent="critic", reference="trip-5")
        self.refused(writ.children_of(identity(self, "bank", "service")), "denied", reference="trip-5")

    def test_what_it_runs_goes_with_each_renewal(self) -> None:
        tools = ["[]"]
        children = writ.children_of(self.crew())
        self.addCleanup(children.close)
        child = children.start(
            agent="planner", reference="trip-8", runtime=lambda: writ.runtime_claims(tool_manifest=tools[0])
        )
        child.renew()
        tools[0] = "[1]"
        with self.assertRaises(writ.WritError) as refused:
            child.renew()
        self.assertEqual(refused.exception.code, "inactive")
        self.assertEqual(status_of(child), "quarantined")

    def test_all_fall_with_their_parent(self) -> None:
        for ends in ("by itself", "by somebody"):
            crew = self.crew()
            children = writ.children_of(crew)
            child = children.start(agent="planner", reference="trip-1")
            ended: list[Exception] = []
            child.on("ended", ended.append)
            if ends == "by itself":
                crew.stop()
            else:
                stop(crew)
                with self.assertRaises(writ.WritError):
                    crew.renew()
            until(lambda: ended)
            until(lambda: status_of(child) == "stopped")
            with self.subTest(ends), self.assertRaises(writ.WritError):
                child.renew()
            self.assertEqual(len(children), 0)
            self.refused(children, "unavailable", reference="trip-2")

    def test_where_the_authority_is_has_to_be_known(self) -> None:
        class Nowhere:
            server = None

        with self.assertRaises(writ.WritError) as refused:
            writ.children_of(Nowhere())  # type: ignore[arg-type]
        self.assertEqual(refused.exception.code, "bad_config")
        self.assertEqual(writ.children_of(self.crew(), server=API).get("none"), None)


if __name__ == "__main__":
    unittest.main()
