"""What the site keeps."""

from django.db import models


class Conversation(models.Model):
    """A question and its answer; the title comes later, from a task."""

    user = models.CharField(max_length=100, default="anonymous")
    message = models.TextField(max_length=100_000)
    answer = models.TextField()
    title = models.CharField(max_length=200, default="")
