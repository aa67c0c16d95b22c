"""httpx, requests and aiohttp with an identity."""

from __future__ import annotations

import asyncio
import ssl
import unittest

import aiohttp
import httpx
import requests
from aiohttp import web
from authority import identity, stop
from test_tls import Echo, serve

import writ
from writ.adapters import aiohttp as writ_aiohttp
from writ.adapters import httpx as writ_httpx
from writ.adapters import requests as writ_requests
from writ.certificate import certificate_of, serial_of

BOOKINGS = "service/bookings/*"


class Requests(unittest.TestCase):
    def setUp(self) -> None:
        self.service = identity(self, "bookings", "service")
        self.planner = identity(self, "planner")
        port = serve(self, self.service.protect, Echo, allow="agent/planner/*")
        self.url = f"https://127.0.0.1:{port}/"

    def test_the_newest_certificate_is_shown(self) -> None:
        with writ_requests.session(self.planner, allow=BOOKINGS) as session:
            for _ in range(2):
                for _ in range(2):
                    self.assertEqual(session.get(self.url, timeout=10).text, self.planner.credential.serial)
                self.planner.renew()

    def test_a_server_that_is_not_expected_is_refused(self) -> None:
        with writ_requests.session(self.planner, allow="service/payments/*") as session:
            for verify in (True, False):
                with self.assertRaises(requests.exceptions.SSLError):
                    session.get(self.url, timeout=10, verify=verify)
        with writ_requests.session(self.planner) as session, self.assertRaises(requests.exceptions.SSLError):
            session.get(self.url, timeout=10)

    def test_nothing_goes_out_in_clear(self) -> None:
        with writ_requests.session(self.planner, allow=BOOKINGS) as session:
            with self.assertRaises(requests.exceptions.InvalidSchema):
                session.get(self.url.replace("https", "http"), timeout=10)

    def test_no_public_authority_becomes_a_root(self) -> None:
        adapter = writ_requests.IdentityAdapter(self.planner, allow=BOOKINGS)
        session = requests.Session()
        session.mount("https://", adapter)
        self.assertEqual(session.get(self.url, timeout=10, verify=True).status_code, 200)


class Httpx(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        await asyncio.to_thread(self.begin)

    def begin(self) -> None:
        self.service = identity(self, "bookings", "service")
        self.planner = identity(self, "planner")
        port = serve(self, self.service.protect, Echo, allow="agent/planner/*")
        self.url = f"https://127.0.0.1:{port}/"

    def test_the_newest_certificate_is_shown(self) -> None:
        with writ_httpx.client(self.planner, allow=BOOKINGS) as client:
            for _ in range(2):
                for _ in range(2):
                    self.assertEqual(client.get(self.url).text, self.planner.credential.serial)
                self.planner.renew()

    def test_an_answer_that_is_under_way_survives_a_renewal(self) -> None:
        with writ_httpx.client(self.planner, allow=BOOKINGS) as client:
            serial = self.planner.credential.serial
            with client.stream("GET", self.url) as answer:
                self.planner.renew()
                self.assertEqual(client.get(self.url).text, self.planner.credential.serial)
                self.assertEqual(answer.read().decode(), serial)

    def test_a_server_that_is_not_expected_is_refused_and_so_is_clear_text(self) -> None:
        with writ_httpx.client(self.planner, allow="service/payments/*") as client:
            with self.assertRaises(httpx.ConnectError):
                client.get(self.url)
            with self.assertRaises(httpx.UnsupportedProtocol):
                client.get(self.url.replace("https", "http"))

    async def test_the_same_with_asyncio(self) -> None:
        async with writ_httpx.async_client(self.planner, allow=BOOKINGS) as client:
            for _ in range(2):
                for _ in range(2):
                    self.assertEqual((await client.get(self.url)).text, self.planner.credential.serial)
                await asyncio.to_thread(self.planner.renew)
        async with writ_httpx.async_client(self.planner, allow="service/payments/*") as client:
            with self.assertRaises(httpx.ConnectError):
                await client.get(self.url)


class Aiohttp(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        await asyncio.to_thread(self.begin)
        application = web.Application(middlewares=[writ_aiohttp.middleware(self.verifier, allow="agent/planner/*")])

        async def who(request: web.Request) -> web.Response:
            der = request.get_extra_info("ssl_object").getpeercert(binary_form=True)
            serial = serial_of(certificate_of(ssl.DER_cert_to_PEM_cert(der)))
            return web.json_response({"who": writ_aiohttp.peer_of(request).uri, "serial": serial})

        async def wait(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse()
            await answer.prepare(request)
            await answer.write(b"first")
            await asyncio.sleep(30)
            return answer

        application.router.add_get("/", who)
        application.router.add_get("/wait", wait)
        self.runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self.runner.setup()
        context = self.verifier.server_context(allow=["agent/planner/*", "agent/reader/*"])
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.url = f"https://127.0.0.1:{self.runner.addresses[0][1]}/"

    async def asyncTearDown(self) -> None:
        await self.runner.cleanup()

    def begin(self) -> None:
        self.service = identity(self, "bookings", "service")
        self.planner = identity(self, "planner")
        self.reader = identity(self, "reader")
        self.verifier = writ.create_verifier(self.service, mode="strict")
        self.addCleanup(self.verifier.close)
        self.verifier.ready(20)

    async def test_client_and_server_know_each_other_through_a_renewal(self) -> None:
        async with writ_aiohttp.session(self.planner, allow=BOOKINGS) as session:
            for _ in range(2):
                for _ in range(2):
                    async with session.get(self.url) as answer:
                        expected = {"who": self.planner.spiffe_id, "serial": self.planner.credential.serial}
                        self.assertEqual(await answer.json(), expected)
                await asyncio.to_thread(self.planner.renew)

    async def test_who_is_not_expected_is_refused_on_both_sides(self) -> None:
        async with writ_aiohttp.session(self.planner, allow="service/payments/*") as session:
            with self.assertRaises(aiohttp.ClientError):
                await session.get(self.url)
            with self.assertRaises((aiohttp.ClientError, OSError)):
                await session.get(self.url.replace("https", "http"))
        async with writ_aiohttp.session(self.reader, allow=BOOKINGS) as session:
            async with session.get(self.url) as answer:
                self.assertEqual((answer.status, await answer.json()), (403, {"refused": "not_allowed"}))

    async def test_an_answer_ends_when_the_client_is_stopped(self) -> None:
        async with writ_aiohttp.session(self.planner, allow=BOOKINGS) as session:
            async with session.get(f"{self.url}wait") as answer:
                self.assertEqual(await answer.content.readany(), b"first")
                await asyncio.to_thread(stop, self.planner)
                with self.assertRaises((aiohttp.ClientError, OSError)):
                    await asyncio.wait_for(answer.content.readexactly(1), 5)

    async def test_an_answer_ends_when_the_server_is_stopped(self) -> None:
        verifier = writ.create_verifier(self.planner, mode="available")
        self.addCleanup(verifier.close)
        await asyncio.to_thread(verifier.ready, 20)
        async with writ_aiohttp.session(verifier, allow=BOOKINGS) as session:
            async with session.get(f"{self.url}wait") as answer:
                self.assertEqual(await answer.content.readany(), b"first")
                await asyncio.to_thread(stop, self.service)
                with self.assertRaises((aiohttp.ClientError, OSError)):
                    await asyncio.wait_for(answer.content.readexactly(1), 5)
            with self.assertRaises((aiohttp.ClientError, OSError)):
                await session.get(self.url)

    async def test_httpx_lets_go_of_a_server_that_is_stopped(self) -> None:
        verifier = writ.create_verifier(self.planner, mode="available")
        self.addCleanup(verifier.close)
        await asyncio.to_thread(verifier.ready, 20)
        async with writ_httpx.async_client(verifier, allow=BOOKINGS, timeout=20) as client:
            async with client.stream("GET", f"{self.url}wait") as answer:
                chunks = answer.aiter_raw()
                self.assertEqual(await anext(chunks), b"first")
                await asyncio.to_thread(stop, self.service)
                with self.assertRaises(httpx.TransportError):
                    await asyncio.wait_for(anext(chunks), 5)
            with self.assertRaises(httpx.ConnectError):
                await client.get(self.url)


if __name__ == "__main__":
    unittest.main()
