"""The site's own tests: `manage.py test`. What is recorded is looked at, and delivered nowhere."""

import json
from io import StringIO
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import TestCase

from llmobs import PromptCallEvent, RunEvent
from llmobs.testing import capture_events

from .celery import app as queue
from .models import Conversation
from .tasks import find_title


class ChatTests(TestCase):
    def setUp(self) -> None:
        self.events = self.enterContext(capture_events())
        queue.conf.task_always_eager = True  # tasks run where they are sent
        self.addCleanup(setattr, queue.conf, "task_always_eager", False)

    def ask(self, path: str, **body: str) -> Any:
        return self.client.post(path, body, content_type="application/json")

    def assert_recorded(self, request: RunEvent, calls: int) -> None:
        """The request and its task are runs, the task's is the request's child, and both have their calls."""
        [task] = [run for run in self.events.of(RunEvent) if run.name == "find_title"]
        assert task.parent_run_id == request.run_id
        assert (task.user_id, request.user_id) == ("ann", "ann")
        for run, count in ((request, calls), (task, 1)):
            of_run = self.events.in_run(run.run_id)
            recorded = [event for event in of_run if isinstance(event, PromptCallEvent)]
            assert len(recorded) == count
            assert all(call.tokens_input and call.cost_usd for call in recorded)

    def run_of(self, response: Any) -> RunEvent:
        runs = {run.run_id: run for run in self.events.of(RunEvent)}
        return runs[response.headers["x-run-id"]]

    def test_a_sync_view(self) -> None:
        answer = self.ask("/chat", message="Which colours are warm?", user="ann")
        kept = Conversation.objects.get(pk=answer.json()["id"])
        assert kept.title
        assert kept.answer == answer.json()["answer"]
        run = self.run_of(answer)
        assert run.metadata == {"view": "chat"}
        assert (run.name, run.route, run.http_status) == ("POST /chat", "chat", 200)
        self.assert_recorded(run, 1)

    def test_an_endpoint(self) -> None:
        answer = self.ask("/api/conversations", message="Which colours are warm?", user="ann")
        assert answer.status_code == 201
        run = self.run_of(answer)
        assert run.name == "POST /api/conversations"
        self.assert_recorded(run, 1)
        again = self.client.get(f"/api/conversations/{answer.json()['id']}")
        assert again.json()["title"]
        assert len(self.events.of(RunEvent)) == 2  # it asked no model: no run

    async def test_an_async_stream(self) -> None:
        body = {"message": "Which colours are warm?", "user": "ann"}
        answer = await self.async_client.post("/chat/stream", body, content_type="application/json")
        received = b"".join([chunk async for chunk in answer.streaming_content]).decode()
        answer.close()
        lines = [line.removeprefix("data: ") for line in received.split("\n\n") if line]
        assert lines.pop() == "[DONE]"
        text = "".join(json.loads(line)["text"] for line in lines)
        assert (await Conversation.objects.aget()).answer == text
        run = self.run_of(answer)
        self.assert_recorded(run, 1)
        [call] = [e for e in self.events.in_run(run.run_id) if isinstance(e, PromptCallEvent)]
        assert call.stream
        assert call.response_text == text

    async def test_a_model_that_fails(self) -> None:
        body = {"message": "Hello?", "model": "gpt-4o-mini-fail-400", "user": "ann"}
        for path in ("/chat", "/chat/stream"):
            answer = await self.async_client.post(path, body, content_type="application/json")
            if answer.streaming:
                received = b"".join([chunk async for chunk in answer.streaming_content])
                answer.close()
            else:
                received = answer.content
                assert answer.status_code == 503
            assert b"the model is busy" in received
            call = self.events.of(PromptCallEvent)[-1]
            assert (call.status, call.http_status) == ("error", 400)
            assert call.run_id == answer.headers["x-run-id"]
        assert not await Conversation.objects.aexists()

    def test_what_is_no_question(self) -> None:
        for body in (
            "[]", "{", '{"message": ""}', '{"message": 5, "user": "%s"}' % ("x" * 101),
            r'{"message": "\ud83d"}', r'{"message": "?", "user": "\ud83d"}',
        ):  # fmt: skip
            for path in ("/chat", "/chat/stream", "/api/conversations"):
                answer = self.client.post(path, body, content_type="application/json")
                assert answer.status_code == 400
        assert self.events == []

    def test_a_task_that_tries_again(self) -> None:
        kept = Conversation.objects.create(message="Which colours are warm?", answer="Red.")
        # The openai package itself tries again after a 429 or a 500, but not after a 400.
        find_title.delay(kept.pk, "gpt-4o-mini-fail-400-once")
        kept.refresh_from_db()
        assert kept.title
        outcomes = [(run.status, run.metadata["attempt"]) for run in self.events.of(RunEvent)]
        assert sorted(outcomes) == [("error", 1), ("success", 2)]
        assert len({run.run_id for run in self.events.of(RunEvent)}) == 1
        calls = self.events.of(PromptCallEvent)
        assert [call.status for call in calls] == ["error", "success"]
        assert {call.run_id for call in calls} == {run.run_id for run in self.events.of(RunEvent)}

    def test_the_digest(self) -> None:
        Conversation.objects.create(message="Which colours are warm?", answer="Red.")
        out = StringIO()
        call_command("digest", stdout=out)
        [call] = self.events.of(PromptCallEvent)
        [run] = self.events.of(RunEvent)
        assert (run.name, run.run_id) == ("manage.py digest", call.run_id)
        assert "Which colours are warm?" in call.prompt_text
        assert out.getvalue().strip() == call.response_text

    def test_the_migrations_are_whole(self) -> None:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)


class ViewerTests(TestCase):
    def test_staff_see_the_runs_and_nobody_else(self) -> None:
        away = self.client.get("/llmobs/runs")
        self.assertRedirects(away, "/admin/login/?next=/llmobs/runs")
        self.client.force_login(User.objects.create_user("ann"))
        assert self.client.get("/llmobs/runs").status_code == 302
        self.client.force_login(User.objects.create_user("ben", is_staff=True))
        shown = self.client.get("/llmobs/")
        # Tests record nothing, so there is no store yet; who may see is let in and told so.
        self.assertContains(shown, "The store cannot be read now", status_code=503)
