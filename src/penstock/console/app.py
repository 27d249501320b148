"""The app: which address shows what. What a page needs is gathered in `desk`, and shown by the templates."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from penstock.config import Settings
from penstock.console import metrics
from penstock.console.access import Guard, is_free
from penstock.console.desk import Desk
from penstock.console.history import History
from penstock.console.sampler import Looks, Moment, Probing, Sampler
from penstock.console.shown import Shown
from penstock.errors import LetterError, PenstockError
from penstock.pipelines.contract import Pipeline

_PER_PAGE = 100
_STATIC = Path(__file__).parent / "static"


def app(
    settings: Settings,
    observer: Looks,
    history: History,
    token: str,
    probes: Probing | None = None,
    desk: Desk | None = None,
) -> Starlette:
    """The console of the pipelines that the `observer` sees, which is open, and nobody else's.

    Its `state.end` ends streams of events. Without a `desk` it has one of its own.
    """
    pages = _Pages(Sampler(observer, history, probes), desk or Desk(settings), Shown(settings, history))
    return pages.app(Middleware(Guard, settings=settings, token=token))


class _Pages:
    def __init__(self, sampler: Sampler, desk: Desk, shown: Shown) -> None:
        self._sampler, self._desk, self._shown = sampler, desk, shown

    def app(self, guard: Middleware) -> Starlette:
        letter = "/p/{pipeline}/letters/{letter}"
        routes = [
            Route("/", self._home),
            Route("/healthz", _healthy),
            Route("/events", self._events),
            Route("/metrics", self._metrics),
            Route("/api/overview", self._overview),
            Route("/services", self._services),
            Route("/services/{service}", self._log),
            Route("/doctor", self._doctor),
            Route("/p/{pipeline}", self._pipeline),
            Route("/p/{pipeline}/runs/{run:path}", self._run),
            Route("/p/{pipeline}/trace", self._trace),
            Route("/p/{pipeline}/letters", self._letters),
            Route(letter, self._letter),
            Route(f"{letter}/check", self._check, methods=["POST"]),
            Route(f"{letter}/replay", self._replay, methods=["POST"]),
            Route(f"{letter}/dismiss", self._dismiss, methods=["POST"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]
        made = Starlette(
            routes=routes,
            middleware=[guard],
            exception_handlers={PenstockError: self._failed, HTTPException: self._refused},
            lifespan=self._living,
        )
        made.state.end = self._sampler.end
        return made

    @asynccontextmanager
    async def _living(self, _: Starlette) -> AsyncIterator[None]:
        async with self._sampler.running():
            yield
        self._desk.close()

    async def _page(self, template: str, request: Request, status: int = 200, **values: Any) -> Response:
        moment = await self._sampler.first()
        text = self._shown.page(template, moment, path=request.url.path, query=request.query_params, **values)
        return Response(text, status, media_type="text/html")

    async def _failed(self, request: Request, error: Exception) -> Response:
        status = HTTPStatus.NOT_FOUND if isinstance(error, LetterError) else HTTPStatus.BAD_GATEWAY
        return await self._page("failed.html", request, status, problem=str(error))

    async def _refused(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
        detail = error.detail if isinstance(error, HTTPException) else ""
        if is_free(request.url.path):
            return PlainTextResponse(f"{detail}\n", status)
        return await self._page("failed.html", request, status, problem=detail or "There is no such page.")

    async def _of(self, request: Request) -> Pipeline:
        name, pipelines = request.path_params["pipeline"], (await self._sampler.first()).pipelines
        if name not in pipelines:
            names = ", ".join(pipelines) or "none"
            raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no pipeline {name!r}; there are: {names}.")
        return pipelines[name]

    async def _home(self, request: Request) -> Response:
        pipelines = (await self._sampler.first()).pipelines
        if len(pipelines) == 1:
            return RedirectResponse(f"/p/{next(iter(pipelines))}", HTTPStatus.TEMPORARY_REDIRECT)
        return await self._page("home.html", request)

    async def _pipeline(self, request: Request) -> Response:
        return await self._page("pipeline.html", request, name=(await self._of(request)).name)

    async def _run(self, request: Request) -> Response:
        pipeline, run = await self._of(request), request.path_params["run"]
        found = await asyncio.to_thread(self._desk.run, pipeline, run)
        return await self._page("run.html", request, name=pipeline.name, run=found)

    async def _trace(self, request: Request) -> Response:
        pipeline, wanted = await self._of(request), request.query_params.get("q", "").strip()[:1_000]
        found = await self._desk.trace(pipeline, wanted) if wanted else None
        return await self._page("trace.html", request, name=pipeline.name, wanted=wanted, found=found)

    async def _letters(self, request: Request) -> Response:
        pipeline, asked = await self._of(request), request.query_params
        page = int(asked["page"]) if asked.get("page", "").isdecimal() and len(asked["page"]) < 9 else 0
        found = await self._desk.letters(
            pipeline, asked.get("reason") or None, asked.get("run") or None, "all" in asked, page * _PER_PAGE, _PER_PAGE
        )
        return await self._page("letters.html", request, name=pipeline.name, letters=found, number=page)

    async def _letter(self, request: Request) -> Response:
        pipeline = await self._of(request)
        found = await self._desk.letter(pipeline, request.path_params["letter"])
        return await self._page("letter.html", request, name=pipeline.name, letter=found)

    async def _check(self, request: Request) -> Response:
        value = await self._value(request)
        problem = await self._desk.judged(await self._of(request), request.path_params["letter"], value)
        return JSONResponse({"problem": problem})

    async def _replay(self, request: Request) -> Response:
        pipeline, letter = await self._of(request), request.path_params["letter"]
        value = await self._value(request)
        problem = await self._desk.replay(pipeline, letter, value)
        if problem:
            found = await self._desk.letter(pipeline, letter)
            return await self._page(
                "letter.html", request, 422, name=pipeline.name, letter=found, problem=problem, typed=value.decode()
            )
        return RedirectResponse(f"/p/{pipeline.name}/letters/{letter}?replayed=1", HTTPStatus.SEE_OTHER)

    async def _dismiss(self, request: Request) -> Response:
        pipeline, letter = await self._of(request), request.path_params["letter"]
        form = await request.form()
        await self._desk.dismiss(pipeline, letter, str(form.get("why", ""))[:1_000])
        return RedirectResponse(f"/p/{pipeline.name}/letters/{letter}", HTTPStatus.SEE_OTHER)

    @staticmethod
    async def _value(request: Request) -> bytes:
        # A browser ends the lines of a form with CR LF, whatever was typed.
        async with request.form(max_part_size=_LARGEST_BYTES) as form:
            return str(form.get("value", "")).replace("\r\n", "\n").encode("utf-8", "backslashreplace")

    async def _services(self, request: Request) -> Response:
        state = await asyncio.to_thread(self._desk.services)
        return await self._page("services.html", request, state=state)

    async def _log(self, request: Request) -> Response:
        name = request.path_params["service"]
        lines = await asyncio.to_thread(self._desk.log, name)
        return await self._page("log.html", request, service=name, lines=lines)

    async def _doctor(self, request: Request) -> Response:
        findings = await self._desk.findings(anew="again" in request.query_params)
        return await self._page("doctor.html", request, findings=findings)

    async def _overview(self, _: Request) -> Response:
        moment = await self._sampler.first()
        return Response(moment.overview.to_json(), media_type="application/json")

    async def _metrics(self, _: Request) -> Response:
        moment = await self._sampler.first()
        return Response(metrics.exposed(moment), media_type=metrics.CONTENT_TYPE)

    async def _events(self, request: Request) -> Response:
        wanted = [name for name in request.query_params.get("parts", "").split(",") if name][:100]
        return StreamingResponse(
            _stream(self._sampler, lambda moment: self._shown.parts(moment, wanted)), media_type="text/event-stream"
        )


_LARGEST_BYTES = 5 * 1024 * 1024


async def _stream(sampler: Sampler, parts: Callable[[Moment], dict[str, str]]) -> AsyncIterator[str]:
    """The parts that have changed, at each moment; an empty one says that somebody still looks."""
    sent: dict[str, str] = {}
    async for moment in sampler.moments():
        now = parts(moment)
        news = {name: text for name, text in now.items() if sent.get(name) != text}
        sent |= news
        at = moment.overview.at.isoformat(timespec="seconds")
        event = {"at": at, "pipelines": list(moment.pipelines), "parts": news}
        yield f"data: {json.dumps(event, ensure_ascii=False)}\n\n"


async def _healthy(_: Request) -> Response:
    return PlainTextResponse('{"status": "ok"}', media_type="application/json")
