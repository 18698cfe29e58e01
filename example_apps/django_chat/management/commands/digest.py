"""`manage.py digest`: what users asked about, in a paragraph."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

import llmobs
from example_apps.django_chat import assistant
from example_apps.django_chat.models import Conversation


class Command(BaseCommand):
    help = "Ask the model what users asked about lately."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--last", type=int, default=10, help="how many conversations")

    def handle(self, **options: Any) -> None:
        latest = Conversation.objects.order_by("-pk")[: options["last"]]
        questions = "\n".join(conversation.message for conversation in latest)
        # A name for what belongs together; without it each call of the model is a run of its own.
        with llmobs.run(name="manage.py digest"):
            said = assistant.answer(f"Summarise what was asked, in a paragraph:\n{questions}")
        self.stdout.write(said)
